#include "scheduler/core/mistakes.h"

namespace modelhop {

const char* to_string(Mistake mistake) {
  static constexpr const char* kNames[] = {"none",
                                           "heartbeat_renews_all",
                                           "stale_token_accepted",
                                           "send_before_durable",
                                           "counted_again_after_replay",
                                           "wrong_partition",
                                           "yield_loses_progress",
                                           "decide_in_replay",
                                           "wrong_parent",
                                           "delete_needed_state",
                                           "token_reused_after_boot",
                                           "drop_under_lease",
                                           "milestone_skipped",
                                           "expiry_forgotten",
                                           "dismiss_before_durable",
                                           "deletion_forgotten_at_boot",
                                           "patience_off_by_one",
                                           "sums_kept",
                                           "profile_ignored",
                                           "lost_never_replaced",
                                           "ranks_forgotten_at_load",
                                           "search_fed_short",
                                           "held_taken_for_durable",
                                           "rollback_target_deleted",
                                           "drain_ignored",
                                           "priority_forgotten_at_load",
                                           "stall_ignored",
                                           "hang_not_excused",
                                           "garbage_ahead_of_head",

                                           "fork_source_deleted",
                                           "fork_told"};
  static_assert(sizeof kNames / sizeof kNames[0] == static_cast<int>(Mistake::kLastMistake));
  return kNames[static_cast<int>(mistake)];
}

}  // namespace modelhop
