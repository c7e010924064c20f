//! Extended attributes of files and directories, including access lists.

use std::fs::File;
use std::io;

use rustix::fs::XattrFlags;

/// Copies extended attributes. Access lists must be copied, since without them the group bits of the
/// mode would grant more than before; errors with other attributes are ignored.
pub(crate) fn copy_attributes(from: &File, to: &File) -> io::Result<()> {
    let mut names = vec![0u8; 64 * 1024];
    let Ok(length) = rustix::fs::flistxattr(from, names.as_mut_slice()) else {
        return Ok(());
    };
    for name in names[..length].split(|&b| b == 0).filter(|n| !n.is_empty()) {
        let mut value = vec![0u8; 64 * 1024];
        let result = rustix::fs::fgetxattr(from, name, value.as_mut_slice())
            .and_then(|n| rustix::fs::fsetxattr(to, name, &value[..n], XattrFlags::empty()));
        if name.starts_with(b"system.posix_acl_") {
            result?;
        }
    }
    Ok(())
}
