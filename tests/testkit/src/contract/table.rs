//! The promises by name: the one place where each of them is listed.

/// Gives every promise, by what it is about, to a macro of this crate, behind what that is given beside.
#[doc(hidden)]
#[macro_export]
macro_rules! every_promise {
    ($then:ident $($with:ident)*) => {
        $crate::$then! {
            [$($with)*]
            lists {
                a_new_location_lists_nothing
                a_listing_tells_names_and_lengths
                a_listing_is_sorted_by_name
                a_listing_goes_on_behind_any_name
                a_listing_of_many_pages_is_whole
                areas_do_not_mix
                the_config_is_in_no_area
                packs_of_all_fan_out_folders_are_listed
                a_long_listing_is_whole
                a_deleted_object_is_not_listed
                a_listing_while_others_write_misses_nothing_older
                listing_and_stat_agree
            }
            objects {
                what_was_put_can_be_read
                every_kind_of_name_is_stored_and_deleted
                parts_are_stored_back_to_back
                empty_parts_leave_no_trace
                thousands_of_parts_arrive_in_order
                a_large_pack_arrives_whole
                an_empty_object_can_be_stored
                a_payload_without_parts_is_an_empty_object
                all_byte_values_survive
                an_object_no_reader_would_accept_is_refused
                a_name_is_taken_once
                the_same_bytes_conflict_as_well
                a_conflict_leaves_the_first_content
                a_deleted_name_is_free
                an_absent_object_is_not_found
                an_absent_range_is_not_found
                an_absent_object_has_no_stat
                stat_tells_length_and_age
                a_range_is_exactly_what_was_asked_for
                a_range_may_be_the_whole_object
                an_empty_range_at_the_end_is_fine
                a_range_past_the_end_is_damage
                a_range_starting_past_the_end_is_damage
                an_overflowing_range_is_damage_and_no_panic
                a_range_of_an_empty_object_is_damage
                delete_removes_one_object_only
                deleting_what_is_absent_is_fine
                another_handle_sees_what_was_put
                the_payload_can_be_put_again_elsewhere
            }
            races {
                of_many_puts_of_one_name_one_wins
                of_many_configs_one_wins
                puts_of_different_names_all_succeed
                a_reader_sees_all_or_nothing
                deletes_of_one_name_all_succeed
                barriers_and_puts_may_overlap
                a_barrier_without_writes_returns
                a_forgotten_put_is_whole_or_absent
            }
            whole {
                an_empty_location_can_be_prepared_again
                a_location_with_a_config_is_not_prepared_over
                a_location_with_objects_but_no_config_is_not_prepared_over
                asking_whether_it_is_writable_leaves_nothing
                what_only_a_disk_does_can_be_asked_of_it
                an_own_repository_is_not_taken_for_a_foreign_one
                the_location_has_a_description
            }
        }
    };
}
