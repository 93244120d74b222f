// SPDX-License-Identifier: Apache-2.0
//! Names that somebody may have meant.

/// How many near names are told.
const NEAR: usize = 3;
/// So many names are told when none is near.
const NAMES: usize = 8;

/// The nearest names: a few letters wrong, or one part of the other, or an abbreviation of it.
pub(crate) fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = wanted.to_lowercase();
    let score = |name: &str| {
        let name = name.to_lowercase();
        let wrong = strsim::damerau_levenshtein(&wanted, &name);
        let part = wanted.len() >= 3 && (name.contains(&wanted) || wanted.contains(&name) && name.len() >= 3);
        let limit = (wanted.len() / 4).max(2);
        (wrong <= limit || part || abbreviates(&wanted, &name)).then_some((wrong > limit, wrong))
    };
    let mut scored: Vec<_> = names.filter_map(|name| Some((score(name)?, name))).collect();
    scored.sort_unstable();
    scored.into_iter().take(NEAR).map(|(_, name)| name).collect()
}

/// Whether `short` is letters of `name` in their order, from its first on: `pubport` of `publicport`.
fn abbreviates(short: &str, name: &str) -> bool {
    let mut letters = name.chars();
    short.len() >= 4
        && short.chars().next() == name.chars().next()
        && short.chars().all(|wanted| letters.any(|letter| letter == wanted))
}

/// `; did you mean guest1?`; nothing when no name is near.
pub(crate) fn hint(near: &[&str]) -> String {
    match near {
        [] => String::new(),
        [one] => format!("; did you mean {one}?"),
        more => format!("; did you mean one of {}?", more.join(", ")),
    }
}

/// What somebody may have meant instead: near names, else the first ones there are.
pub(crate) fn instead(wanted: &str, names: &[String]) -> String {
    let near = nearest(wanted, names.iter().map(String::as_str));
    match (near.as_slice(), names.len()) {
        ([], 0) => "; there is none yet".to_owned(),
        ([], 0..=NAMES) => format!("; there are: {}", names.join(", ")),
        ([], count) => format!("; there are {count}, among them {}", names[..NAMES].join(", ")),
        (near, _) => hint(near),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_name_finds_its_neighbours_nearest_first() {
        let names = [
            "listNetworks",
            "listNetworkOfferings",
            "createNetwork",
            "listRouters",
            "id",
            "name",
        ];
        let of = |wanted| nearest(wanted, names.into_iter());
        assert_eq!(of("listNetwork")[0], "listNetworks");
        assert_eq!(of("lsitRouters"), ["listRouters"]);
        assert_eq!(of("CreateNetwrok")[0], "createNetwork");
        assert!(of("xyz").is_empty());
        let names = ["publicport", "publicendport", "privateport"];
        assert_eq!(nearest("pubport", names.into_iter())[0], "publicport");
    }
}
