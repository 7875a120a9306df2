//! Values: the types that are stored as they are, and read back.
//!
//! Scalars travel as plain text and bytes as bytes, as every Redis client sends them, so programs in other languages
//! read them. Other types travel in a wrapper that names their encoding: `Bincode` and `Json`, in `wrapped.rs`.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::str;

use bytes::Bytes;

use super::error::{Error, Fault};
use crate::resp::Value as Generic;
use crate::resp::number::push_i64;

/// A reply, as `command` and pipelines return it. Its strings are [`Bytes`]: large ones are not copied.
pub type Value = Generic<Bytes>;

/// The reason why a value can't be encoded or decoded.
pub type ValueError = Box<dyn StdError + Send + Sync>;

/// A type whose values can be stored.
///
/// ```
/// use aspine::client::ToValue;
///
/// assert_eq!(&*"text".to_value().unwrap(), b"text");
/// assert_eq!(&*(-7i64).to_value().unwrap(), b"-7");
/// assert_eq!(&*true.to_value().unwrap(), b"1");
/// ```
pub trait ToValue {
    /// The value as bytes.
    ///
    /// # Errors
    /// The reason why this value can't be encoded, for a type of which not all values can.
    fn to_value(&self) -> Result<Cow<'_, [u8]>, ValueError>;
}

/// A type that a stored value can be read as.
///
/// ```
/// use aspine::client::FromValue;
/// use bytes::Bytes;
///
/// assert_eq!(u16::from_value(Bytes::from_static(b"5116")).unwrap(), 5116);
/// assert!(u16::from_value(Bytes::from_static(b"many")).is_err());
/// ```
pub trait FromValue: Sized {
    /// Reads the bytes of a stored value.
    ///
    /// # Errors
    /// The bytes are not a value of this type.
    fn from_value(value: Bytes) -> Result<Self, ValueError>;
}

macro_rules! bytes_as_they_are {
    ($($type:ty),*) => { $(
        impl ToValue for $type {
            #[inline]
            fn to_value(&self) -> Result<Cow<'_, [u8]>, ValueError> {
                Ok(Cow::Borrowed(self.as_ref()))
            }
        }
    )* };
}

bytes_as_they_are!(str, String, [u8], Vec<u8>, Bytes);

impl<const N: usize> ToValue for [u8; N] {
    fn to_value(&self) -> Result<Cow<'_, [u8]>, ValueError> {
        Ok(Cow::Borrowed(self))
    }
}

impl<T: ToValue + ?Sized> ToValue for &T {
    #[inline]
    fn to_value(&self) -> Result<Cow<'_, [u8]>, ValueError> {
        T::to_value(self)
    }
}

impl<T: ToValue + ToOwned + ?Sized> ToValue for Cow<'_, T> {
    fn to_value(&self) -> Result<Cow<'_, [u8]>, ValueError> {
        T::to_value(self)
    }
}

macro_rules! integers {
    ($($type:ty),*) => { $(
        impl ToValue for $type {
            fn to_value(&self) -> Result<Cow<'_, [u8]>, ValueError> {
                let mut text = Vec::new();
                match i64::try_from(*self) {
                    Ok(value) => push_i64(&mut text, value),
                    Err(_) => text = self.to_string().into_bytes(),
                }
                Ok(Cow::Owned(text))
            }
        }
        parsed!($type);
    )* };
}

macro_rules! parsed {
    ($type:ty) => {
        impl FromValue for $type {
            fn from_value(value: Bytes) -> Result<Self, ValueError> {
                Ok(str::from_utf8(&value)?.parse()?)
            }
        }
    };
}

integers!(i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize);
parsed!(f32);
parsed!(f64);
parsed!(char);

macro_rules! printed {
    ($($type:ty),*) => { $(
        impl ToValue for $type {
            fn to_value(&self) -> Result<Cow<'_, [u8]>, ValueError> {
                Ok(Cow::Owned(self.to_string().into_bytes()))
            }
        }
    )* };
}

printed!(f32, f64, char);

/// Stored as `1` or `0`; `true` and `false` are read too.
impl ToValue for bool {
    fn to_value(&self) -> Result<Cow<'_, [u8]>, ValueError> {
        Ok(Cow::Borrowed(if *self { b"1" } else { b"0" }))
    }
}

impl FromValue for bool {
    fn from_value(value: Bytes) -> Result<Self, ValueError> {
        match &*value {
            b"1" | b"true" => Ok(true),
            b"0" | b"false" => Ok(false),
            _ => Err("neither 1, true, 0 nor false".into()),
        }
    }
}

impl FromValue for Bytes {
    #[inline]
    fn from_value(value: Bytes) -> Result<Self, ValueError> {
        Ok(value)
    }
}

impl FromValue for Vec<u8> {
    #[inline]
    fn from_value(value: Bytes) -> Result<Self, ValueError> {
        // No copy where the buffer has no other owner.
        Ok(value.into())
    }
}

impl FromValue for String {
    #[inline]
    fn from_value(value: Bytes) -> Result<Self, ValueError> {
        Ok(String::from_utf8(value.into())?)
    }
}

impl Generic<Bytes> {
    /// The bytes of a string, status or verbatim text.
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Simple(bytes) | Self::Bulk(Some(bytes)) | Self::Verbatim { text: bytes, .. } => Some(bytes),
            _ => None,
        }
    }

    /// The number of an integer reply.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            _ => None,
        }
    }

    /// Whether this is one of the protocol's nulls.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null | Self::Bulk(None) | Self::Array(None))
    }

    /// The elements of an array or set.
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(Some(items)) | Self::Set(items) => Some(items),
            _ => None,
        }
    }

    /// The value, read as a type of the caller's choice; `None` for null.
    ///
    /// ```
    /// use aspine::client::Value;
    ///
    /// assert_eq!(Value::Integer(7).to::<u8>().unwrap(), Some(7));
    /// assert_eq!(Value::Null.to::<u8>().unwrap(), None);
    /// ```
    ///
    /// # Errors
    /// [`Error::Decode`] if the value is not of that type.
    pub fn to<T: FromValue>(&self) -> Result<Option<T>, Error> {
        let bytes = match self {
            Self::Integer(value) => {
                let mut text = Vec::new();
                push_i64(&mut text, *value);
                text.into()
            }
            value if value.is_null() => return Ok(None),
            value => match value.as_bytes() {
                Some(bytes) => bytes.clone(),
                None => return Err(Error::decode::<T>(b"", "a reply of several parts")),
            },
        };
        T::from_value(bytes).map(Some).map_err(|cause| Error::decode::<T>(b"", cause))
    }
}

/// The types of replies that commands expect; any other type is a [`Fault::Type`].
pub(crate) trait Expect: Sized {
    /// The reply must be OK.
    fn unit(self) -> Result<(), Fault>;
    /// The reply must be an integer.
    fn integer(self) -> Result<i64, Fault>;
    /// The reply must be a string or null.
    fn bytes(self) -> Result<Option<Bytes>, Fault>;
    /// The reply must be an array.
    fn array(self) -> Result<Vec<Value>, Fault>;

    /// The reply must be an integer; true if it is not 0.
    fn flag(self) -> Result<bool, Fault> {
        Ok(self.integer()? > 0)
    }
}

impl Expect for Value {
    fn unit(self) -> Result<(), Fault> {
        match self {
            Self::Simple(_) => Ok(()),
            _ => Err(Fault::Type),
        }
    }

    fn integer(self) -> Result<i64, Fault> {
        self.as_integer().ok_or(Fault::Type)
    }

    #[inline]
    fn bytes(self) -> Result<Option<Bytes>, Fault> {
        match self {
            Self::Bulk(bytes) => Ok(bytes),
            Self::Null => Ok(None),
            Self::Verbatim { text, .. } => Ok(Some(text)),
            _ => Err(Fault::Type),
        }
    }

    fn array(self) -> Result<Vec<Value>, Fault> {
        match self {
            Self::Array(Some(items)) | Self::Set(items) => Ok(items),
            _ => Err(Fault::Type),
        }
    }
}

/// The value of a key, read as the type asked for.
#[inline]
pub(crate) fn typed<T: FromValue>(key: &[u8], bytes: Option<Bytes>) -> Result<Option<T>, Error> {
    match bytes {
        None => Ok(None),
        Some(bytes) => T::from_value(bytes).map(Some).map_err(|cause| Error::decode::<T>(key, cause)),
    }
}

/// A value as the bytes to store.
#[inline]
pub(crate) fn stored<T: ToValue + ?Sized>(value: &T) -> Result<Cow<'_, [u8]>, Error> {
    value.to_value().map_err(Error::encode::<T>)
}
