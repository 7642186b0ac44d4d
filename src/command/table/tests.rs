use std::collections::BTreeSet;

use super::*;

fn rows() -> impl Iterator<Item = &'static Row> {
    GROUPS.iter().flat_map(|(_, rows)| rows.iter())
}

#[test]
fn a_name_has_one_row_in_upper_case() {
    let mut seen = BTreeSet::new();
    for (name, _) in rows() {
        assert!(seen.insert(name), "{name} has two rows");
        assert_eq!(*name, name.to_ascii_uppercase());
    }
}

#[test]
fn a_container_says_what_holds_for_its_other_subcommands() {
    let names: BTreeSet<_> = rows().map(|(name, _)| *name).collect();
    for name in &names {
        if let Some((container, _)) = name.split_once(' ') {
            assert!(names.contains(container), "{container} has no row");
        }
    }
}
