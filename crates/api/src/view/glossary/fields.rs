// SPDX-License-Identifier: Apache-2.0
//! The fields, by name in lower case, in order.

mod a_to_m;
mod n_to_z;

/// What a field means, by its name in lower case.
pub fn meaning(name: &str) -> Option<&'static str> {
    let fields = if name < "n" {
        a_to_m::FIELDS
    } else {
        n_to_z::FIELDS
    };
    let place = fields.binary_search_by(|(known, _)| (*known).cmp(name));
    place
        .ok()
        .and_then(|place| fields.get(place))
        .map(|(_, text)| *text)
}

/// Every field with what it means, in order.
#[cfg(test)]
pub fn all() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    a_to_m::FIELDS.iter().chain(n_to_z::FIELDS)
}
