//! The rules in the terms of Landlock (landlock(7)).

use std::{io, path::PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, PathFdError,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope, make_bitflags,
};

use super::{Confinement, Permission};

/// The newest set of restrictions that is used (Linux 6.12). An older kernel has some of them.
const NEWEST: ABI = ABI::V6;

/// Confines this thread, and the threads and processes that it starts from now on. Returns how much
/// of the rules this kernel enforces.
///
/// # Errors
/// Fails if the path of a rule cannot be opened for another reason than its permissions, or if
/// the kernel refuses the rules.
pub fn confine(rules: Vec<(PathBuf, Permission)>) -> io::Result<Confinement> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))
        .map_err(io::Error::other)?
        .handle_access(AccessNet::from_all(NEWEST))
        .map_err(io::Error::other)?
        .scope(Scope::from_all(NEWEST))
        .map_err(io::Error::other)?;
    if rules.iter().any(|(_, permission)| *permission == Permission::Manage) {
        // To manage files is to move them from one directory to another. Before Linux 5.19, a
        // confined process cannot do that at all. Then none of this is enforced.
        let required = ruleset.set_compatibility(CompatLevel::SoftRequirement);
        ruleset = required.handle_access(AccessFs::Refer).map_err(io::Error::other)?;
        ruleset = ruleset.set_compatibility(CompatLevel::BestEffort);
    }
    let mut created = ruleset.create().map_err(io::Error::other)?;
    for (dir, permission) in rules {
        let dir = match PathFd::new(dir) {
            Ok(dir) => dir,
            Err(e) if is_denied(&e) => continue,
            Err(e) => return Err(io::Error::other(e)),
        };
        created = created.add_rule(PathBeneath::new(dir, access(permission))).map_err(io::Error::other)?;
    }
    match created.restrict_self().map_err(io::Error::other)?.ruleset {
        RulesetStatus::FullyEnforced => Ok(Confinement::Full),
        RulesetStatus::PartiallyEnforced => Ok(Confinement::Partial),
        RulesetStatus::NotEnforced => Ok(Confinement::Absent),
    }
}

/// Returns what a permission allows.
fn access(permission: Permission) -> BitFlags<AccessFs> {
    match permission {
        Permission::Read => make_bitflags!(AccessFs::{ReadFile | ReadDir}),
        Permission::ReadFile => AccessFs::ReadFile.into(),
        Permission::Write => make_bitflags!(AccessFs::{MakeReg | WriteFile}),
        Permission::Remove => make_bitflags!(AccessFs::{ReadDir | RemoveFile}),
        Permission::Manage => make_bitflags!(
            AccessFs::{ReadFile | ReadDir | WriteFile | Truncate | MakeReg | RemoveFile | Refer}
        ),
    }
}

/// Returns whether a directory could not be opened for want of permission.
fn is_denied(error: &PathFdError) -> bool {
    let PathFdError::OpenCall { source, .. } = error else { return false };
    source.kind() == io::ErrorKind::PermissionDenied
}
