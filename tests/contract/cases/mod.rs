//! The table. A list is what a kind of publisher must do; each line of it is a function of these modules.

pub mod aliases;
pub mod faults;
pub mod races;
pub mod records;
pub mod refusals;
pub mod sharing;

/// Makes a test of each case.
macro_rules! tests {
    ($publisher:ident: $($module:ident :: $case:ident,)+) => {
        $(#[test]
        fn $case() {
            crate::cases::$module::$case(&crate::servers::$publisher());
        })+
    };
}

/// What everybody must do, also who is told a state, which another program carries out.
macro_rules! every_publisher {
    ($publisher:ident) => {
        crate::cases::tests! { $publisher:
            records::every_type_is_written_read_and_removed,
            records::long_texts_are_whole,
            records::texts_of_any_octets_are_kept,
            records::reverse_zones_are_zones,
            records::a_new_ttl_is_written,
            records::more_than_one_message_holds,
            records::a_plan_of_several_zones,
            records::nothing_to_do_is_nothing_done,
            refusals::who_does_not_lead_writes_nothing,
        }
    };
}

/// Removing and adding at once.
macro_rules! one_step {
    ($publisher:ident) => {
        crate::cases::tests! { $publisher:
            aliases::an_alias_takes_the_place_of_records_and_gives_it_back,
        }
    };
}

/// RRsets that others have values in, or get at the same time.
macro_rules! shared_rrsets {
    ($publisher:ident) => {
        crate::cases::tests! { $publisher:
            records::a_shared_ttl_is_left,
            sharing::foreign_values_stay_byte_for_byte,
            sharing::only_ours_is_removed,
            races::a_value_added_meanwhile_is_kept,
            races::an_rrset_made_meanwhile_is_kept,
            races::an_rrset_removed_meanwhile_is_noticed,
            races::one_race_holds_the_whole_zone_back,
            races::a_stale_copy_is_stopped_by_the_owner_text,
        }
    };
}

/// Which zones the server has.
macro_rules! zones_are_told {
    ($publisher:ident) => {
        crate::cases::tests! { $publisher:
            refusals::a_zone_that_is_not_there_is_never_empty,
            refusals::a_zone_that_is_there_is_found,
        }
    };
}

/// What DNS itself makes difficult.
macro_rules! zones_of_servers {
    ($publisher:ident) => {
        crate::cases::tests! { $publisher:
            records::names_in_another_case_are_found_and_replaced,
            aliases::other_types_forbid_an_alias,
            aliases::records_that_come_meanwhile_forbid_an_alias,
            aliases::an_alias_that_comes_meanwhile_is_kept,
            refusals::names_of_other_zones_are_not_this_ones,
            refusals::a_wildcard_is_no_record_of_a_name,
        }
    };
}

/// Credentials, what a server tells of itself, and one that is gone.
macro_rules! credentials {
    ($publisher:ident) => {
        crate::cases::tests! { $publisher:
            refusals::revoked_credentials_are_told,
            faults::a_survey_tells_refused_credentials,
            faults::a_survey_tells_the_zones_and_the_credentials,
            refusals::the_name_servers_of_a_zone_are_told,
            refusals::a_server_that_is_gone_is_unreachable,
        }
    };
}

/// What networks and busy servers do to messages.
macro_rules! bad_networks {
    ($publisher:ident) => {
        crate::cases::tests! { $publisher:
            faults::overload_is_told_and_never_taken_for_absence,
            faults::a_change_whose_answer_is_lost_is_found_again,
            faults::an_answer_after_the_timeout_is_nobodys,
            faults::answers_that_come_twice_count_once,
            faults::after_failures_in_a_row_the_server_rests_and_recovers,
        }
    };
}

/// Credentials that may not write.
macro_rules! rights {
    ($publisher:ident) => {
        crate::cases::tests! { $publisher:
            refusals::a_key_without_the_right_is_refused,
        }
    };
}

/// Servers that compare and write in one step.
macro_rules! compare_and_swap {
    ($publisher:ident) => {
        crate::cases::tests! { $publisher:
            races::a_busy_neighbour_loses_nothing,
        }
    };
}

/// A value that comes between the last read and the write.
macro_rules! neighbours_are_safe {
    ($publisher:ident) => {
        crate::cases::tests! { $publisher:
            races::a_value_that_comes_at_the_moment_of_writing_is_kept,
        }
    };
}

pub(crate) use {
    bad_networks, compare_and_swap, credentials, every_publisher, neighbours_are_safe, one_step, rights,
    shared_rrsets, tests, zones_are_told, zones_of_servers,
};
