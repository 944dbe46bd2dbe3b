//! Where it comes from what outlives a runtime.

use crate::debug::probe;
use crate::debug::report::About;
use std::any::Any;
use std::cell::Cell;
use std::collections::HashMap;
use std::panic::Location;
use std::sync::Arc;

/// So many places are told of. The rest is a number.
const PLACES: usize = 10;

/// Who made something of a runtime, in debug mode.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// Filch itself: it is nobody's leak.
    Own,
    User {
        /// The task, or the future of a `block_on`; `None` outside of them.
        by: Option<About>,
        /// The line of the program, if it is known.
        place: Option<&'static Location<'static>>,
    },
}

std::thread_local! {
    static OWN: Cell<bool> = const { Cell::new(false) };
}

impl Origin {
    /// Who makes something here and now.
    pub(crate) fn here(place: Option<&'static Location<'static>>) -> Self {
        match OWN.get() {
            true => Self::Own,
            false => Self::User {
                by: probe::here(),
                place,
            },
        }
    }

    /// As [`here`](Self::here), across the seam to sockets and timers.
    pub(crate) fn boxed() -> Box<dyn Any + Send> {
        Box::new(Self::here(None))
    }

    /// What came back across the seam.
    pub(crate) fn unboxed(origins: Vec<Box<dyn Any + Send>>) -> Vec<Self> {
        let origins = origins.into_iter().filter_map(|origin| origin.downcast().ok());
        origins.map(|origin| *origin).collect()
    }
}

/// What `f` makes is filch's own.
#[allow(dead_code, reason = "without the feature `signal` there is nothing")]
pub(crate) fn own<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            OWN.set(self.0);
        }
    }
    let _restore = Restore(OWN.replace(true));
    f()
}

/// How many the program made, and where: a line for each place, those of most first.
pub(crate) fn places(origins: Vec<Origin>) -> (usize, Vec<String>) {
    /// The name and the place of the task, and the line of the program.
    type Place = (
        Option<Arc<str>>,
        Option<&'static Location<'static>>,
        Option<&'static Location<'static>>,
        bool,
    );
    /// How many, and the first of those who made them, and whether there were others.
    type Makers = (usize, Option<About>, bool);
    let mut by_place: HashMap<Place, Makers> = HashMap::new();
    let mut count = 0;
    for origin in origins {
        let Origin::User { by, place } = origin else { continue };
        count += 1;
        let key = match &by {
            Some(by) => (by.name.clone(), by.place, place, by.task.is_some()),
            None => (None, None, place, false),
        };
        let makers = by_place.entry(key).or_insert_with(|| (0, by.clone(), false));
        makers.0 += 1;
        makers.2 |= makers.1.as_ref().map(|by| by.task) != by.as_ref().map(|by| by.task);
    }
    let mut lines: Vec<(usize, String)> = by_place
        .into_iter()
        .map(|((_, _, place, _), (count, by, others))| (count, line(count, by, others, place)))
        .collect();
    lines.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
    let rest: usize = lines.iter().skip(PLACES).map(|(count, _)| count).sum();
    lines.truncate(PLACES);
    if rest > 0 {
        lines.push((rest, format!("{rest} from other places")));
    }
    (count, lines.into_iter().map(|(_, line)| line).collect())
}

fn line(count: usize, by: Option<About>, others: bool, place: Option<&Location<'_>>) -> String {
    let by = by.map_or_else(|| "outside of tasks".to_owned(), |by| format!("from {by}"));
    let by = by.trim_end_matches(',');
    let others = match others {
        true => " and others that were spawned there",
        false => "",
    };
    match place {
        Some(place) => format!("{count} {by}{others}, at {place}"),
        None => format!("{count} {by}{others}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::id::Id;

    #[test]
    fn places_are_few_and_those_of_most_come_first() {
        let here = Location::caller();
        let task = |id, name: &str| Origin::User {
            by: Some(About {
                task: Some(id),
                name: Some(name.into()),
                place: Some(here),
            }),
            place: None,
        };
        let outside = || Origin::User { by: None, place: None };
        let (one, two) = (Id::next(), Id::next());
        let (count, lines) = places(vec![
            outside(),
            task(one, "a"),
            Origin::Own,
            task(one, "a"),
            task(two, "a"),
        ]);
        let first = format!("3 from task {one} \"a\", spawned at {here} and others that were spawned there");
        assert_eq!((count, lines), (4, vec![first, "1 outside of tasks".to_owned()]));

        let many = (0..30).map(|number| task(one, &format!("{number:02}"))).collect();
        let (count, lines) = places(many);
        assert_eq!((count, lines.len()), (30, PLACES + 1));
        assert!(lines[0].contains("\"00\""), "{lines:?}");
        assert_eq!(lines[PLACES], "20 from other places");
        assert_eq!(places(Vec::new()), (0, Vec::new()));
    }
}
