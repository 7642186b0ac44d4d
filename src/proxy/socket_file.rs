//! The file of a listening unix socket.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

/// The file of a unix socket that this process listens on; it goes when this is dropped. What has taken its place since
/// stays: a process that follows this one may listen there already.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and number.
    inode: (u64, u64),
}

impl SocketFile {
    /// Of the socket that was just bound to `path`.
    ///
    /// # Errors
    ///
    /// When nothing is known of the file.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), inode: (found.dev(), found.ino()) })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path).is_ok_and(|found| {
            found.file_type().is_socket() && (found.dev(), found.ino()) == self.inode
        });
        if is_ours {
            // Somebody else may take it away just now; then there is nothing to do.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_our_own_socket_is_removed() {
        let name = format!("shardwright-socket-file-{}.sock", std::process::id());
        let path = std::env::temp_dir().join(name);
        let ours = UnixListener::bind(&path).unwrap();
        drop(SocketFile::of(&path).unwrap());
        assert!(!path.exists());

        // Gone already.
        let _ours = (ours, UnixListener::bind(&path).unwrap());
        let file = SocketFile::of(&path).unwrap();
        fs::remove_file(&path).unwrap();
        drop(file);

        // Another one in its place.
        let _bound = UnixListener::bind(&path).unwrap();
        let file = SocketFile::of(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let theirs = UnixListener::bind(&path).unwrap();
        drop(file);
        assert!(path.exists());
        drop(theirs);
        fs::remove_file(&path).unwrap();

        // No socket at all.
        let _bound = UnixListener::bind(&path).unwrap();
        let file = SocketFile::of(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "mine").unwrap();
        drop(file);
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        fs::remove_file(&path).unwrap();
    }
}
