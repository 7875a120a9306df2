//! Auth: the sources of the auth key: flag, file or environment.
//!
//! Owner: `ServerConfig`. Never: printed, logged or shown by `Debug`. A key in a file or in the environment is not in the
//! process list; one given by flag is.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::ConfigError;
use crate::engine::auth::{AuthKey, KeyError};
use crate::limits::AUTHKEY_BYTES_MAX;

/// The sources in which a key was given. At most one of flag and file; either overrides the environment.
#[derive(Clone, Default)]
pub struct AuthSources {
    /// The value of `--authkey`.
    pub flag: Option<Vec<u8>>,
    /// The value of `ASPINE_AUTHKEY`.
    pub env: Option<Vec<u8>>,
    /// The value of `--authkey-file`.
    pub file: Option<PathBuf>,
}

impl AuthSources {
    /// The sources, from the value that clap found in the flag or its variable.
    pub(crate) fn new(key: Option<OsString>, is_env: bool, file: Option<PathBuf>) -> AuthSources {
        let key = key.map(OsString::into_vec);
        let (flag, env) = if is_env { (None, key) } else { (key, None) };
        AuthSources { flag, env, file }
    }

    /// The key in force, and a warning for the log if its file is readable by others.
    pub(crate) fn resolve(&self) -> Result<(Option<AuthKey>, Option<String>), ConfigError> {
        let Some(Secret { bytes, origin, warning }) = self.secret()? else { return Ok((None, None)) };
        Ok((Some(named(&bytes, &origin)?), warning))
    }

    /// As [`AuthSources::resolve`], the key as the bytes that a client sends.
    pub(crate) fn resolve_secret(&self) -> Result<Option<Vec<u8>>, ConfigError> {
        let Some(Secret { bytes, origin, .. }) = self.secret()? else { return Ok(None) };
        named(&bytes, &origin)?;
        Ok(Some(bytes))
    }

    /// The key in force, with its source.
    fn secret(&self) -> Result<Option<Secret>, ConfigError> {
        let given =
            |bytes: &[u8], origin: &str| Secret { bytes: bytes.to_vec(), origin: origin.to_owned(), warning: None };
        match (&self.flag, &self.file, &self.env) {
            (Some(_), Some(_), _) => Err(ConfigError::KeyTwice),
            (Some(key), None, _) => Ok(Some(given(key, "--authkey"))),
            (None, Some(path), _) => read_key_file(path).map(Some),
            (None, None, Some(key)) => Ok(Some(given(key, "ASPINE_AUTHKEY"))),
            (None, None, None) => Ok(None),
        }
    }
}

/// A key with its source.
struct Secret {
    bytes: Vec<u8>,
    /// The source, for errors.
    origin: String,
    /// A warning for the log, if the file is readable by others.
    warning: Option<String>,
}

impl fmt::Debug for AuthSources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthSources")
            .field("flag", &self.flag.is_some())
            .field("env", &self.env.is_some())
            .field("file", &self.file)
            .finish()
    }
}

/// Checks a key from `origin`, which the error names.
fn named(key: &[u8], origin: &str) -> Result<AuthKey, ConfigError> {
    AuthKey::new(key).map_err(|error| match error {
        KeyError::Empty => ConfigError::KeyEmpty { origin: origin.to_owned() },
        KeyError::TooLong => ConfigError::KeyTooLong { origin: origin.to_owned() },
    })
}

/// Reads the first line of the file at `path`, without its line end.
fn read_key_file(path: &Path) -> Result<Secret, ConfigError> {
    let failed = |source| ConfigError::KeyFile { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let warning = readable_by_others(&file).map_err(failed)?.then(|| {
        let path = path.display();
        format!("auth key file {path} is readable by every user of this machine; run chmod o-rwx {path}")
    });
    let mut head = Vec::new();
    // One byte past the longest key and its CRLF tells "too long" from "just fits", and ends at
    // /dev/zero too.
    file.take(AUTHKEY_BYTES_MAX as u64 + 3).read_to_end(&mut head).map_err(failed)?;
    let line = head.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    Ok(Secret { bytes: line.to_vec(), origin: path.display().to_string(), warning })
}

/// Pipes and devices (`--authkey-file <(vault read ..)`) have no mode worth a warning.
fn readable_by_others(file: &File) -> io::Result<bool> {
    let metadata = file.metadata()?;
    Ok(metadata.is_file() && metadata.permissions().mode() & 0o004 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn key(bytes: &[u8]) -> AuthKey {
        AuthKey::new(bytes).unwrap()
    }

    #[test]
    fn only_the_key_itself_is_the_key() {
        let longest = [b'x'; AUTHKEY_BYTES_MAX];
        for (secret, guess, right) in [
            (&b"secret"[..], &b"secret"[..], true),
            (b"secret", b"", false),
            (b"secret", b"secre", false),
            (b"secret", b"secrets", false),
            (b"secret", b"Secret", false),
            (b"secret", b"secret\0", false),
            (b"secret\0", b"secret", false),
            (b"\0", b"", false),
            (b"\xff\xfe", b"\xff\xfe", true),
            (&longest, &longest, true),
            (&longest, &[b'x'; AUTHKEY_BYTES_MAX + 1], false),
            (&longest, &[b'x'; AUTHKEY_BYTES_MAX - 1], false),
            (b"secret", &[b'x'; 100_000], false),
        ] {
            assert_eq!(key(secret).verify(guess), right, "{secret:?} {guess:?}");
        }
    }

    #[test]
    fn debug_hides_every_key() {
        let sources = AuthSources { flag: Some(b"hunter2".to_vec()), env: Some(b"hunter3".to_vec()), file: None };
        let shown = format!("{:?} {sources:?}", key(b"hunter2"));
        assert!(!shown.contains("hunter"), "{shown}");
    }

    #[test]
    fn flag_or_file_override_the_environment_and_exclude_each_other() {
        let some = |text: &str| Some(text.as_bytes().to_vec());
        for (flag, env, expected) in [
            (None, None, None),
            (some("flag"), None, Some("flag")),
            (None, some("env"), Some("env")),
            (some("flag"), some("env"), Some("flag")),
            // The variable is overridden, so it may be empty.
            (some("flag"), some(""), Some("flag")),
        ] {
            let sources = AuthSources { flag, env, file: None };
            let (found, warning) = sources.resolve().unwrap();
            assert_eq!(found.is_some(), expected.is_some(), "{sources:?}");
            if let (Some(found), Some(expected)) = (found, expected) {
                assert!(found.verify(expected.as_bytes()), "{sources:?}");
            }
            assert!(warning.is_none());
        }
        let both = AuthSources { flag: some("a"), env: None, file: Some("/nowhere".into()) };
        assert!(matches!(both.resolve(), Err(ConfigError::KeyTwice)));
    }

    #[test]
    fn an_empty_or_overlong_key_is_refused_by_its_origin() {
        let long = vec![b'x'; AUTHKEY_BYTES_MAX + 1];
        for (flag, env, origin) in [
            (Some(vec![]), None, "--authkey"),
            (Some(long.clone()), None, "--authkey"),
            (None, Some(vec![]), "ASPINE_AUTHKEY"),
            (None, Some(long), "ASPINE_AUTHKEY"),
        ] {
            let error = AuthSources { flag, env, file: None }.resolve().unwrap_err().to_string();
            assert!(error.contains(origin), "{error}");
        }
    }

    #[test]
    fn a_key_file_gives_its_first_line() {
        let dir = std::env::temp_dir().join(format!("aspine-auth-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("key");
        let longest = "x".repeat(AUTHKEY_BYTES_MAX);
        for (content, expected) in [
            ("secret", Some("secret")),
            ("secret\n", Some("secret")),
            ("secret\r\n", Some("secret")),
            ("secret\nsecond line\n", Some("secret")),
            (" two words \n", Some(" two words ")),
            (&format!("{longest}\r\n"), Some(&longest)),
            ("", None),
            ("\n", None),
            ("\r\n", None),
            ("\nsecret\n", None),
            (&format!("{longest}x"), None),
            (&format!("{longest}xxxxxx\n"), None),
        ] {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let sources = AuthSources { file: Some(path.clone()), ..AuthSources::default() };
            match (sources.resolve(), expected) {
                (Ok((Some(found), warning)), Some(expected)) => {
                    assert!(found.verify(expected.as_bytes()), "{content:?}");
                    assert!(warning.is_none());
                    assert_eq!(sources.resolve_secret().unwrap().unwrap(), expected.as_bytes());
                }
                (Err(error), None) => assert!(error.to_string().contains("/key"), "{error}"),
                (found, _) => panic!("{content:?}: {found:?}"),
            }
        }

        fs::write(&path, "secret").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(read_key_file(&path).unwrap().warning.unwrap().contains("chmod"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o440)).unwrap();
        assert!(
            read_key_file(&path).unwrap().warning.is_none(),
            "a group may read it: that is how secrets are mounted"
        );

        let endless = AuthSources { file: Some("/dev/zero".into()), ..AuthSources::default() };
        assert!(matches!(endless.resolve(), Err(ConfigError::KeyTooLong { .. })));
        assert!(matches!(read_key_file(&dir), Err(ConfigError::KeyFile { .. })), "a folder");
        assert!(matches!(read_key_file(&dir.join("no")), Err(ConfigError::KeyFile { .. })));
        fs::remove_dir_all(&dir).unwrap();
    }
}
