//! Faults that the simulation plants to see that it finds them. In a program there are none.

/// A fault that can be planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// A message that arrived is never acknowledged.
    DroppedAcknowledgement,
    /// The result of an attempt is taken although another one has taken its place.
    DoubleCommit,
    /// A node gives its hold on an object back before another one's is known.
    EarlyFree,
    /// Resources that came back are not lent again.
    LostLease,
    /// What a node says is heard after it was declared dead.
    StaleNode,
    /// A node leaves before what it alone has is copied.
    HastyDrain,
    /// A placement group is used before all of its bundles are reserved.
    HalfGroup,
    /// A head does not save that a node died.
    ForgottenDeath,
    /// A head does not save which of its lives this is.
    ForgottenEpoch,
    /// What a head says does not wait until what it says it on is saved.
    EarlyAnswer,
    /// A part of a plan begins before all that it reads is there.
    EarlyFragment,
    /// A copy that could not be read is still told of.
    UnreadCopy,
    /// What another attempt would make otherwise is made again.
    MixedAttempts,
}

/// Whether `flaw` is planted in this thread.
#[cfg(not(test))]
#[inline]
pub(crate) const fn planted(_: Flaw) -> bool {
    false
}

#[cfg(test)]
std::thread_local! {
    static PLANTED: std::cell::Cell<Option<Flaw>> = const { std::cell::Cell::new(None) };
}

#[cfg(test)]
pub(crate) fn planted(flaw: Flaw) -> bool {
    PLANTED.with(|planted| planted.get() == Some(flaw))
}

/// Plants a fault, or none, in this thread.
#[cfg(test)]
pub(crate) fn plant(flaw: Option<Flaw>) {
    PLANTED.with(|planted| planted.set(flaw));
}
