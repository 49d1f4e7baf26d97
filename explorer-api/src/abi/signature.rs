//! A function or an event: its name, its signature, its parameters, and how its data is read.

use super::{
    layout,
    value::{Budget, Parameter, Shown, show},
};
use alloy::{
    dyn_abi::{DynSolType, DynSolValue, Specifier as _},
    json_abi::{Event, EventParam, Function, Param},
    primitives::{B256, Selector},
};
use serde::Serialize;
use serde_json::Value;

/// Longest name of a type in an ABI.
const MAX_TYPE_NAME: usize = 256;

/// Where the meaning comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    /// The contract's own ABI, or that of its implementation.
    Abi,
    /// A standard with the same signature; the contract itself may mean something else.
    Standard,
}

/// A call or an event with its arguments.
#[derive(Debug, Serialize)]
pub(crate) struct Decoded {
    name: String,
    signature: String,
    pub params: Vec<Argument>,
    source: Source,
}

/// An argument.
#[derive(Debug, Serialize)]
pub(crate) struct Argument {
    pub name: String,
    pub r#type: String,
    /// Of events only.
    #[serde(skip_serializing_if = "Option::is_none")]
    indexed: Option<bool>,
    pub value: Value,
    /// The value is the hash of the argument: a topic holds no more of one that is longer than a word.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    hashed: bool,
    /// Part of the value is left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

impl Argument {
    fn new(
        parameter: &Parameter,
        indexed: Option<bool>,
        value: &DynSolValue,
        budget: &mut Budget,
    ) -> Self {
        let Shown { value, truncated } = show(value, &parameter.components, budget);
        Self {
            name: parameter.name.clone(),
            r#type: parameter.ty.clone(),
            indexed,
            value,
            hashed: false,
            truncated,
        }
    }

    fn hashed(parameter: &Parameter, topic: &B256) -> Self {
        Self {
            name: parameter.name.clone(),
            r#type: parameter.ty.clone(),
            indexed: Some(true),
            value: Value::String(topic.to_string()),
            hashed: true,
            truncated: false,
        }
    }
}

/// Parameters with their types.
#[derive(Debug)]
struct Parameters {
    shown: Vec<Parameter>,
    /// A tuple of their types.
    tuple: DynSolType,
}

impl Parameters {
    fn new<'a>(inputs: impl Iterator<Item = Input<'a>>) -> Result<Self, String> {
        let (shown, types): (Vec<_>, Vec<_>) = inputs
            .map(|input| Ok((input.parameter()?, input.kind()?)))
            .collect::<Result<Vec<_>, String>>()?
            .into_iter()
            .unzip();
        Ok(Self {
            shown,
            tuple: DynSolType::Tuple(types),
        })
    }

    /// The values, if the data is exactly what encodes them.
    fn decode(&self, data: &[u8]) -> Option<Vec<DynSolValue>> {
        let types = self.tuple.as_tuple()?;
        if types.is_empty() {
            return data.is_empty().then(Vec::new);
        }
        if !layout::is_strict(types, data) {
            return None;
        }
        let values = self.tuple.abi_decode_params(data).ok()?;
        if values.abi_encode_params() != data {
            return None;
        }
        match values {
            DynSolValue::Tuple(values) => Some(values),
            _ => None,
        }
    }
}

/// A parameter as the ABI says it.
struct Input<'a> {
    name: &'a str,
    ty: &'a str,
    components: &'a [Param],
}

impl<'a> From<&'a Param> for Input<'a> {
    fn from(param: &'a Param) -> Self {
        Self {
            name: &param.name,
            ty: &param.ty,
            components: &param.components,
        }
    }
}

impl<'a> From<&'a EventParam> for Input<'a> {
    fn from(param: &'a EventParam) -> Self {
        Self {
            name: &param.name,
            ty: &param.ty,
            components: &param.components,
        }
    }
}

impl Input<'_> {
    /// Its name, and those of its components.
    fn parameter(&self) -> Result<Parameter, String> {
        // Types are parsed one array at a time, on the stack: a short name bounds how many there are.
        if self.ty.len() > MAX_TYPE_NAME {
            return Err(format!("the type of {:?} is too long", self.name));
        }
        let components = self.components.iter();
        Ok(Parameter {
            name: self.name.to_owned(),
            ty: self.as_param().selector_type().into_owned(),
            components: components
                .map(|component| Input::from(component).parameter())
                .collect::<Result<_, _>>()?,
        })
    }

    fn kind(&self) -> Result<DynSolType, String> {
        let name = self.name;
        let kind = self.as_param().resolve();
        let kind = kind.map_err(|error| format!("the type of {name:?}: {error}"))?;
        if kind.nesting_depth() > layout::MAX_DEPTH {
            return Err(format!("the type of {name:?} is nested too deeply"));
        }
        if !layout::takes_place(&kind) {
            return Err(format!("the type of {name:?} holds nothing"));
        }
        Ok(kind)
    }

    fn as_param(&self) -> Param {
        Param {
            ty: self.ty.to_owned(),
            name: self.name.to_owned(),
            components: self.components.to_vec(),
            internal_type: None,
        }
    }
}

/// A function.
#[derive(Debug)]
pub(super) struct FunctionAbi {
    name: String,
    signature: String,
    inputs: Parameters,
}

impl FunctionAbi {
    pub fn new(function: &Function) -> Result<(Selector, Self), String> {
        let inputs = Parameters::new(function.inputs.iter().map(Input::from))
            .map_err(|reason| format!("function {}: {reason}", function.name))?;
        let abi = Self {
            name: function.name.clone(),
            signature: function.signature(),
            inputs,
        };
        Ok((function.selector(), abi))
    }

    pub fn signature(&self) -> &str {
        &self.signature
    }

    pub fn decode(&self, arguments: &[u8], source: Source) -> Option<Decoded> {
        let values = self.inputs.decode(arguments)?;
        let mut budget = Budget::default();
        let params = self.inputs.shown.iter().zip(&values);
        Some(Decoded {
            name: self.name.clone(),
            signature: self.signature.clone(),
            params: params
                .map(|(parameter, value)| Argument::new(parameter, None, value, &mut budget))
                .collect(),
            source,
        })
    }
}

/// An event.
#[derive(Debug)]
pub(super) struct EventAbi {
    name: String,
    signature: String,
    /// All parameters in their order, and whether each is a topic.
    order: Vec<bool>,
    topics: Vec<Topic>,
    body: Parameters,
}

/// An indexed parameter.
#[derive(Debug)]
struct Topic {
    parameter: Parameter,
    /// Its type, when a word holds it; of anything longer the topic is a hash.
    word: Option<Parameters>,
}

impl EventAbi {
    /// The event with its first topic; none for anonymous events, which say nowhere what they are.
    pub fn new(event: &Event) -> Result<Option<(B256, Self)>, String> {
        if event.anonymous {
            return Ok(None);
        }
        let fail = |reason| format!("event {}: {reason}", event.name);
        let (indexed, rest): (Vec<_>, Vec<_>) = event.inputs.iter().partition(|it| it.indexed);
        let topics = indexed
            .into_iter()
            .map(Topic::new)
            .collect::<Result<_, _>>()
            .map_err(fail)?;
        let abi = Self {
            name: event.name.clone(),
            signature: event.signature(),
            order: event.inputs.iter().map(|param| param.indexed).collect(),
            topics,
            body: Parameters::new(rest.into_iter().map(Input::from)).map_err(fail)?,
        };
        Ok(Some((event.selector(), abi)))
    }

    pub fn signature(&self) -> &str {
        &self.signature
    }

    /// How many of its parameters are topics.
    pub fn indexed(&self) -> usize {
        self.topics.len()
    }

    /// Reads a log whose first topic and number of topics are this event's.
    pub fn decode(&self, topics: &[B256], data: &[u8], source: Source) -> Option<Decoded> {
        if topics.len() != self.topics.len() {
            return None;
        }
        let mut budget = Budget::default();
        let values = self.body.decode(data)?;
        let body = self.body.shown.iter().zip(&values);
        let mut body = body
            .map(|(parameter, value)| Argument::new(parameter, Some(false), value, &mut budget))
            .collect::<Vec<_>>()
            .into_iter();
        let indexed = self.topics.iter().zip(topics);
        let mut indexed = indexed
            .map(|(parameter, topic)| parameter.decode(topic))
            .collect::<Option<Vec<_>>>()?
            .into_iter();
        let order = self.order.iter();
        Some(Decoded {
            name: self.name.clone(),
            signature: self.signature.clone(),
            params: order
                .map_while(|is_topic| {
                    if *is_topic {
                        indexed.next()
                    } else {
                        body.next()
                    }
                })
                .collect(),
            source,
        })
    }
}

impl Topic {
    fn new(param: &EventParam) -> Result<Self, String> {
        let input = Input::from(param);
        let is_word = !matches!(
            input.kind()?,
            DynSolType::Bytes
                | DynSolType::String
                | DynSolType::Array(_)
                | DynSolType::FixedArray(..)
                | DynSolType::Tuple(_)
        );
        let word = is_word.then(|| Parameters::new(std::iter::once(Input::from(param))));
        Ok(Self {
            parameter: input.parameter()?,
            word: word.transpose()?,
        })
    }

    fn decode(&self, topic: &B256) -> Option<Argument> {
        let Some(word) = &self.word else {
            return Some(Argument::hashed(&self.parameter, topic));
        };
        let values = word.decode(topic.as_slice())?;
        let mut budget = Budget::default();
        Some(Argument::new(
            &self.parameter,
            Some(true),
            values.first()?,
            &mut budget,
        ))
    }
}
