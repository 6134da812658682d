//! The guard: a small process beside the head that ends the jobs' processes when the head is killed. The system's own
//! way (`PR_SET_PDEATHSIG`) ends the first process of a job only, and what that started would go on.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};

use nix::unistd::Pid;
use parking_lot::Mutex;

/// Hears of process groups that begin (`+ 17`) and end (`- 17`), and kills those that are left when it hears no more.
const PROGRAM: &str = r#"
trap '' HUP INT TERM
groups=
while read -r what group; do
    others=
    for each in $groups; do
        [ "$each" = "$group" ] || others="$others $each"
    done
    groups=$others
    [ "$what" = + ] && groups="$groups $group"
done
for each in $groups; do
    kill -KILL "-$each"
done
"#;

/// The process, which is started with the first job.
#[derive(Debug, Default)]
pub(super) struct Guard(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    groups: BTreeSet<i32>,
    process: Option<(Child, ChildStdin)>,
}

impl Guard {
    /// A group that ends with the head.
    pub(super) fn add(&self, group: Pid) -> io::Result<()> {
        let mut state = self.0.lock();
        state.groups.insert(group.as_raw());
        state.tell(&format!("+ {group}\n"))
    }

    /// A group that is gone; until its first process is waited for, no other one has its number.
    pub(super) fn remove(&self, group: Pid) {
        let mut state = self.0.lock();
        state.groups.remove(&group.as_raw());
        if let Err(error) = state.tell(&format!("- {group}\n")) {
            log::warn!("the guard of the jobs does not hear: {error}");
        }
    }
}

impl State {
    /// Tells it, or another one in its place if it is gone, which is told of all groups.
    fn tell(&mut self, words: &str) -> io::Result<()> {
        if let Some((_, ear)) = &mut self.process
            && ear.write_all(words.as_bytes()).is_ok()
        {
            return Ok(());
        }
        self.end();
        let (process, mut ear) = start()?;
        let all: String = self.groups.iter().map(|group| format!("+ {group}\n")).collect();
        let told = ear.write_all(all.as_bytes());
        self.process = Some((process, ear));
        told
    }

    fn end(&mut self) {
        if let Some((mut process, ear)) = self.process.take() {
            drop(ear);
            // It ends when it hears no more, at once.
            let _ = process.wait();
        }
    }
}

fn start() -> io::Result<(Child, ChildStdin)> {
    let mut process = Command::new("sh")
        .args(["-c", PROGRAM, "sheaf-guard"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        // What ends the head's group does not end it.
        .process_group(0)
        .spawn()?;
    let ear = process.stdin.take().ok_or_else(|| io::Error::other("it has no input"))?;
    Ok((process, ear))
}

impl Drop for State {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use nix::sys::signal::{Signal, kill};

    use super::*;

    fn sleeper() -> (Child, Pid) {
        let child = Command::new("sleep").arg("60").process_group(0).spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        (child, pid)
    }

    fn ends(child: &mut Child) -> bool {
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until {
            if child.try_wait().unwrap().is_some() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    #[test]
    fn what_it_was_told_of_ends_when_it_hears_no_more() {
        let guard = Guard::default();
        let ((mut kept, first), (mut other, second), (mut freed, third)) = (sleeper(), sleeper(), sleeper());
        for group in [first, second, third] {
            guard.add(group).unwrap();
        }
        // One that was killed has a successor.
        let old = guard.0.lock().process.as_ref().unwrap().0.id();
        kill(Pid::from_raw(i32::try_from(old).unwrap()), Signal::SIGKILL).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        guard.remove(third);
        let new = guard.0.lock().process.as_ref().unwrap().0.id();
        assert_ne!(old, new);
        drop(guard);
        assert!(ends(&mut kept) && ends(&mut other));
        assert!(freed.try_wait().unwrap().is_none(), "it was let go");
        freed.kill().unwrap();
        freed.wait().unwrap();
    }
}
