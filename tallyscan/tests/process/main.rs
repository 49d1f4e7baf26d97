//! The program as it is run: its processes, signals, exit codes and what it says.

mod bad_input;
mod doctor;
mod histories;
mod kill;
mod labels;
mod observed;
mod program;
mod schema;
mod up;
