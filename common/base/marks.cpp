#include "common/base/marks.h"

namespace modelhop {

const char* to_string(Mark mark) {
  static constexpr const char* kNames[kMarks] = {"lease_adopted",
                                                 "run_sent_again",
                                                 "former_refused",
                                                 "process_replaced",
                                                 "silent_lost",
                                                 "lease_expired",
                                                 "trainer_hangs",
                                                 "excused",
                                                 "held_lost",
                                                 "rolled_back_again",
                                                 "rolled_back_behind_milestone",
                                                 "rolled_back_to_start",
                                                 "unreadable_once",
                                                 "unreadable_given_up",
                                                 "late_durable",
                                                 "late_forgotten",
                                                 "too_much_at_risk",
                                                 "move_waits",
                                                 "profile_bound",
                                                 "yielded_inside",
                                                 "yielded_unbegun",
                                                 "parked",
                                                 "backed_off",
                                                 "released_by_stop",
                                                 "deletion_asked_again",
                                                 "search_bounded",
                                                 "retried",
                                                 "garbage_on_its_way",
                                                 "garbage_saving",
                                                 "garbage_passed",
                                                 "garbage_of_old_lineage",
                                                 "garbage_of_ended",
                                                 "newer_unit_waits",
                                                 "waiting_unit_yielded",
                                                 "report_again",
                                                 "saved_later",
                                                 "drain_ran_out",
                                                 "old_boot_ignored"};
  return kNames[static_cast<std::size_t>(mark)];
}

}  // namespace modelhop
