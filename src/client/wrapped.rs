//! Values of any serde type, in a wrapper that names the encoding at the call.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::value::{FromValue, ToValue, ValueError};

/// A value as bincode 2 writes it with its standard configuration: small and fast, readable by Rust programs that know
/// the type.
///
/// ```
/// # async fn example(client: aspine::Client) -> Result<(), aspine::client::Error> {
/// use aspine::client::Bincode;
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct User {
///     name: String,
///     visits: u64,
/// }
///
/// let alice = User { name: "alice".into(), visits: 7 };
/// client.set("user:1", Bincode(&alice), None).await?;
/// if let Some(Bincode(user)) = client.get::<Bincode<User>>("user:1").await? {
///     assert_eq!(user.visits, 7);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bincode<T>(pub T);

impl<T: Serialize> ToValue for Bincode<T> {
    fn to_value(&self) -> Result<Cow<'_, [u8]>, ValueError> {
        Ok(Cow::Owned(bincode::serde::encode_to_vec(&self.0, bincode::config::standard())?))
    }
}

impl<T: DeserializeOwned> FromValue for Bincode<T> {
    fn from_value(value: Bytes) -> Result<Self, ValueError> {
        let (decoded, len) = bincode::serde::decode_from_slice(&value, bincode::config::standard())?;
        // Left-over bytes mean that the value is of another type.
        if len == value.len() {
            Ok(Self(decoded))
        } else {
            Err(format!("{} bytes are left over", value.len() - len).into())
        }
    }
}

/// A value as JSON, readable by programs in any language. Needs the feature `json`.
///
/// ```
/// # async fn example(client: aspine::Client) -> Result<(), aspine::client::Error> {
/// use aspine::client::Json;
/// use std::collections::BTreeMap;
///
/// client.set("prices", Json(BTreeMap::from([("tea", 3), ("coffee", 4)])), None).await?;
/// let prices = client.get::<Json<BTreeMap<String, u32>>>("prices").await?;
/// # drop(prices);
/// # Ok(())
/// # }
/// ```
#[cfg(feature = "json")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Json<T>(pub T);

#[cfg(feature = "json")]
impl<T: Serialize> ToValue for Json<T> {
    fn to_value(&self) -> Result<Cow<'_, [u8]>, ValueError> {
        Ok(Cow::Owned(serde_json::to_vec(&self.0)?))
    }
}

#[cfg(feature = "json")]
impl<T: DeserializeOwned> FromValue for Json<T> {
    fn from_value(value: Bytes) -> Result<Self, ValueError> {
        Ok(Self(serde_json::from_slice(&value)?))
    }
}
