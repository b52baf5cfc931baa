//! Tests of other files once more: what a program tries as root, it tries with a container's capabilities.
use super::super::support::with_options_for_root;

/// Tests of other files, with a container's capabilities wherever their command runs as root.
macro_rules! once_more {
    ($($file:ident: $($test:ident)*;)*) => {$(
        mod $file {
            $(
                #[test]
                #[ignore = "kernel: needs root"]
                fn $test() {
                    super::with_options_for_root(&["--capabilities", "container"], crate::$file::$test);
                }
            )*
        }
    )*};
}

once_more! {
    addresses: raw_addresses_are_refused_at_once the_hosts_own_services_are_refused
        datagrams_are_refused_wherever_they_go;
    death: killing_it_kills_everything_inside_and_opens_nothing its_listeners_serve_nobody_else;
    devices: a_tun_device_is_refused_wherever_its_node_lies
        namespaces_of_the_programs_own_open_no_device an_open_tun_descriptor_becomes_no_network
        a_macvtap_device_is_refused networks_by_their_numbers_and_unknown_drivers_are_refused;
    direct_attacks: a_namespace_of_the_programs_own_has_no_direct_way;
    escape: a_new_network_namespace_reaches_nothing a_new_user_namespace_gives_no_rights_here
        no_process_moves_itself_out the_kernels_own_files_are_closed
        processes_outside_are_out_of_sight inherited_sockets_are_closed
        the_hosts_well_known_sockets_are_hidden a_users_multiplexer_and_agent_are_hidden
        abstract_sockets_of_the_host_are_refused;
    files: a_command_that_runs_as_root_does_not_choose_our_name_server
        nothing_is_read_behind_the_start_that_root_could_have_written;
    inbound: who_connects_from_outside_gets_no_answer system_calls_of_other_abis_end_the_process;
    inherited: no_path_descriptor_survives a_handle_on_a_process_outside_is_refused;
    isolation: joining_a_group_tells_the_network_nothing
        nothing_is_typed_into_a_terminal_or_joined_to_a_network keyrings_are_absent
        second_mounts_of_the_kernels_controls_are_closed a_service_that_restarts_stays_hidden
        nobody_else_can_lock_the_groups;
    launch: nobody_gets_an_init_by_hand;
    mounts: names_of_any_bytes_are_mount_points_like_others single_files_of_the_kernel_are_hidden
        a_newer_sysfs_over_the_old_one_is_closed_too;
    own: no_own_address_is_public;
    place: a_command_started_in_run_stands_in_its_own other_mounts_of_run_show_no_more_than_it
        other_mounts_of_what_is_hidden_elsewhere_show_nothing
        the_hosts_processes_are_not_behind_the_working_directory
        no_group_is_behind_the_working_directory the_working_directory_is_as_read_only_as_its_path;
    sockets: sockets_besides_tcp_and_udp_are_refused ping_is_refused source_routes_go_nowhere
        routing_headers_go_nowhere a_chosen_device_opens_nothing nothing_is_exempt_by_a_mark
        families_without_a_hook_and_io_uring_are_absent;
    status: the_socket_is_out_of_the_sandboxs_reach;
}
