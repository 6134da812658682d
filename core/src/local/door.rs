//! The door of a node that runs as a process of its own: the socket at which the drivers of its machine knock. It has a
//! name and no file, so that nothing is left of it, and lets in who is the same user.

use std::io::{self, ErrorKind};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

use nix::sys::socket::{getsockopt, sockopt};

use crate::ids::NodeId;

fn name_of(node: NodeId) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("sheaf/{node}"))
}

/// Connects to a node, if it is on this machine.
///
/// # Errors
/// [`ErrorKind::ConnectionRefused`] when it is not.
pub fn knock(node: NodeId) -> io::Result<UnixStream> {
    UnixStream::connect_addr(&name_of(node)?)
}

/// Opens the door of a node.
pub(super) fn open(node: NodeId) -> io::Result<UnixListener> {
    let listener = UnixListener::bind_addr(&name_of(node)?)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[expect(unsafe_code, reason = "a call of the C library")]
fn own_user() -> u32 {
    // SAFETY: it takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

/// Lets the next one in who knocks; `None` when nobody does.
pub(super) fn let_in(listener: &UnixListener) -> io::Result<Option<UnixStream>> {
    let socket = match listener.accept() {
        Ok((socket, _)) => socket,
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
        Err(error) => return Err(error),
    };
    let user = getsockopt(&socket, sockopt::PeerCredentials)?.uid();
    if user != own_user() && user != 0 {
        return Err(io::Error::new(ErrorKind::PermissionDenied, format!("user {user} is not the one that runs it")));
    }
    Ok(Some(socket))
}
