//! The names of what a program registers, with the types that belong to them: a call with others does not compile.

use std::fmt;
use std::marker::PhantomData;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident<$($type:ident),+>) => {
        $(#[$doc])*
        pub struct $name<$($type),+> {
            name: &'static str,
            of: PhantomData<fn($($type),+)>,
        }

        impl<$($type),+> $name<$($type),+> {
            /// The one of this name.
            #[must_use]
            pub const fn named(name: &'static str) -> Self {
                Self { name, of: PhantomData }
            }

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                self.name
            }
        }

        impl<$($type),+> Clone for $name<$($type),+> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<$($type),+> Copy for $name<$($type),+> {}

        impl<$($type),+> fmt::Debug for $name<$($type),+> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name)
            }
        }
    };
}

name! {
    /// A function that takes `A` and returns `R`.
    Function<A, R>
}
name! {
    /// What makes an actor with the state `S` of an `A`.
    Class<A, S>
}
name! {
    /// A method of actors with the state `S`, which takes `A` and returns `R`.
    Method<S, A, R>
}
