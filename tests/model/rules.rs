//! The protocol without one of its rules: which of them keep data alone, and which only stand behind another.

use super::SMALL;
use super::checker::Outcome;
use super::checker::explore;
use super::world::Rule;
use super::world::World;

/// Enough for every world here.
const STATES_MAX: usize = 3_000_000;

const FINE: World = World { fine: true, ..SMALL };
const CRASHES: World = World { crashes: 1, merges: true, needs: [0b01, 0b11, 0], ..SMALL };
const TWO_PRUNERS: World = World { pruners: 2, ..SMALL };
const MERGES: World = World { pruners: 2, merges: true, ..SMALL };
const COPIES: World = World { pruners: 2, packs: [0b01, 0b01], needs: [0b01, 0b01, 0], ..SMALL };
/// A writer stores a pack, and nobody lists packs: a tomb may go while the writer sleeps.
const ORPHANS: World = World { without: 1 << Rule::UsablePacksExist as u32, ..FINE };
const STALE: World = World { stale: true, ..FINE };
const TWO_STALE: World = World { pruners: 2, stale: true, ..SMALL };
/// The other way to be safe: nobody lists packs, and tombs stay for ever.
const TOMBS: World = World { tombs_last: true, without: 1 << Rule::UsablePacksExist as u32, ..MERGES };

/// Without the rule data is lost, and with it not as soon; prints the shortest way to lose it.
fn is_needed(rule: Rule, world: &World) {
    let outcome = explore(&world.without(rule), STATES_MAX, |_| {});
    println!("without {rule:?}: {outcome}");
    let Outcome::Lost { trace, .. } = outcome else { panic!("{rule:?}: {outcome}") };
    match explore(world, STATES_MAX, |_| {}) {
        Outcome::Exhausted { .. } => {}
        Outcome::TooMany { depth, .. } => assert!(depth >= trace.len(), "only {depth} moves deep"),
        lost @ Outcome::Lost { .. } => panic!("with all rules: {lost}"),
    }
}

/// Without the rule nothing is lost in any of these worlds: another rule holds as well.
fn is_backed(rule: Rule, worlds: &[World]) {
    for world in worlds {
        let outcome = explore(&world.without(rule), STATES_MAX, |_| {});
        println!("without {rule:?}: {outcome}");
        assert!(matches!(outcome, Outcome::Exhausted { .. }), "{rule:?}: {outcome}");
    }
}

macro_rules! needed {
    ($($test:ident: $rule:ident in $world:expr;)*) => {
        $(#[test] fn $test() { is_needed(Rule::$rule, &$world); })*
        const NEEDED: &[Rule] = &[$(Rule::$rule),*];
    };
}

macro_rules! backed {
    ($($(#[doc = $why:literal])+ $test:ident: $rule:ident in $worlds:expr;)*) => {
        $($(#[doc = $why])+ #[test] fn $test() { is_backed(Rule::$rule, &$worlds); })*
        const BACKED: &[Rule] = &[$(Rule::$rule),*];
    };
}

needed! {
    a_snapshot_before_its_index_object_loses_data: IndexBeforeSnapshot in CRASHES;
    validating_before_telling_the_intent_loses_data: IntentBeforeValidation in SMALL;
    committing_without_validation_loses_data: Validation in SMALL;
    leaning_on_packs_that_nobody_saw_loses_data: UsablePacksExist in World { packs: [0b01, 0], ..SMALL };
    a_slow_writer_without_its_guard_loses_data: GuardOfThePendingRecord in SMALL;
    a_pending_record_put_again_under_its_old_name_loses_data: FreshPendingName in SMALL;
    marking_after_reading_loses_data: MarkBeforeReading in SMALL;
    pending_records_that_are_no_roots_lose_data: PendingIsARoot in SMALL;
    snapshots_read_before_pending_records_lose_data: PendingBeforeSnapshots in SMALL;
    ignoring_the_marks_of_others_loses_data: ForeignMarksCount in COPIES;
    copies_in_other_victims_lose_data: VictimsAreNoCopies in World { victims: 2, packs: [0b11, 0b01], ..CRASHES };
    pardoning_a_victim_loses_data: MarksAreTerminal in TWO_PRUNERS;
    deleting_index_objects_before_the_merged_one_is_there_loses_data: MergedBeforeDelete in CRASHES;
    deleting_index_objects_that_were_not_read_loses_data: OnlyWhatWasRead in CRASHES;
    leaving_out_what_others_only_marked_loses_data: MarkedStaysInIndex in MERGES;
    removing_the_mark_before_the_tomb_is_there_loses_data: MarkUntilTomb in MERGES;
    removing_the_mark_of_a_dead_run_loses_data: LeftMarksAreFinished in TWO_PRUNERS;
    no_grace_where_listings_are_stale_loses_data: Grace in STALE;
    half_the_grace_where_listings_are_stale_loses_data: GraceIsTwice in STALE;
    a_pending_record_gone_before_its_snapshot_is_seen_loses_data: PendingOutlivesDoubt in STALE;
    a_mark_gone_before_its_tomb_is_seen_loses_data: MarkOutlivesDoubt in STALE;
    orphans_taken_for_empty_where_listings_are_stale_lose_data: OrphansAreLookedInto in TWO_STALE;
    tombs_dropped_at_once_lose_data_where_nobody_lists_packs: TombsOutliveRuns in TOMBS;
    tombs_listed_before_marks_lose_data_where_nobody_lists_packs: MarksBeforeTombs in World { fine: true, ..TOMBS };
    an_index_read_before_the_marks_loses_data_where_tombs_go: MarksBeforeIndex in ORPHANS;
}

backed! {
    /// A pack that is put after the pending record can only be condemned by a run that sees the record.
    a_rescue_that_is_not_validated_is_saved_by_the_record: RescueIsValidated in [World { rescues: 1, ..TWO_PRUNERS }];
    /// Copies of what is live can themselves only be condemned by runs that see this run's mark.
    copies_that_are_not_verified_are_saved_by_the_mark: CopiesAreVerified in [World { needs: [0b01, 0b11, 0], ..TWO_PRUNERS }];
    /// Compaction that brings a deleted entry back: the pack it names is seen not to exist, or to have a tomb.
    a_merge_that_brings_deleted_packs_back_is_saved_by_the_listing: TombedLeavesIndex in [MERGES, TOMBS];
    /// A pack that the index names and that does not exist is no copy of anything.
    an_index_that_names_deleted_packs_is_saved_by_the_listing: IndexBeforeDelete in [MERGES, TOMBS];
    /// Until P6 the mark says what the tomb says.
    a_tomb_after_its_packs_are_gone_is_saved_by_the_mark: TombBeforeDelete in [MERGES, TOMBS];
    /// From P4 on the tomb says what the mark says.
    a_mark_gone_before_its_packs_is_saved_by_the_tomb: MarkOutlivesPacks in [MERGES, TOMBS];
    /// The listing of packs does alone what tombs do, where listings are not stale.
    tombs_that_go_while_an_index_object_names_their_packs_are_saved_by_the_listing: TombsOutliveIndex in [MERGES];
}

#[test]
fn every_rule_is_tried() {
    let tried = NEEDED.iter().chain(BACKED).fold(0_u64, |all, rule| all | 1 << *rule as u32);
    assert_eq!(tried, (2 << Rule::TombsOutliveIndex as u32) - 1);
}
