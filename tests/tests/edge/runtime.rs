//! The runtime behind `wrangler dev`. wrangler listens in front of it and does not pass on that a reader has
//! left, so some tests connect to the runtime itself.

use super::stack::Stack;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

/// Where the runtime that has the worker listens: the one of its sockets that answers as the worker does.
fn address(stack: &Stack) -> SocketAddr {
    let known = super::stack::address_of(&stack.edge);
    let candidates = listening_ports(stack.edge.id()).into_iter();
    candidates
        .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .filter(|address| address.to_string() != known)
        .find(|address| is_worker(*address).unwrap_or(false))
        .unwrap()
}

/// Sends a request that the worker refuses with a text of its own.
fn is_worker(address: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.ends_with("403 Forbidden\n"))
}

/// The ports on which the processes of a group listen.
fn listening_ports(group: u32) -> Vec<u16> {
    let sockets: Vec<String> = processes(group)
        .iter()
        .flat_map(|process| std::fs::read_dir(process.join("fd")).into_iter().flatten())
        .flatten()
        .filter_map(|file| std::fs::read_link(file.path()).ok())
        .filter_map(|file| {
            let socket = file.to_str()?.strip_prefix("socket:[")?;
            Some(socket.strip_suffix(']')?.to_owned())
        })
        .collect();
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let listening = table.lines().filter_map(|line| {
        // Number, address and port, the other end, state, …, and at the tenth place the socket.
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_ours =
            fields.get(3) == Some(&"0A") && sockets.iter().any(|socket| socket == fields[9]);
        let (_, port) = fields.get(1).filter(|_| is_ours)?.split_once(':')?;
        u16::from_str_radix(port, 16).ok()
    });
    listening.collect()
}

/// The processes of a group, as directories.
fn processes(group: u32) -> Vec<PathBuf> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    all.map(|entry| entry.path())
        .filter(|path| {
            // Name in brackets, then state, parent and group.
            let stat = std::fs::read_to_string(path.join("stat")).unwrap_or_default();
            let fields = stat.rsplit_once(')').map(|(_, rest)| rest.to_owned());
            fields.is_some_and(|rest| rest.split(' ').nth(3) == Some(group.to_string().as_str()))
        })
        .collect()
}

/// Starts a reader for each of these paths at once; each leaves after its time.
pub(crate) fn ask_and_leave(stack: &Stack, readers: Vec<(String, Duration)>) {
    use tokio::io::AsyncWriteExt as _;
    let address = address(stack);
    let host = super::stack::address_of(&stack.edge);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut tasks = Vec::new();
        for (path, after) in readers {
            let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            tasks.push(tokio::spawn(async move {
                let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
                stream.write_all(request.as_bytes()).await.unwrap();
                tokio::time::sleep(after).await;
                // A reset: a connection that is closed in order may still be read from.
                stream.set_zero_linger().unwrap();
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
}
