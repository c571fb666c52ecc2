// What Core::judge() says of states that lie in the store, at every stage of a trial's life.
#include <catch2/catch_test_macros.hpp>

#include "tests/scheduler/core/rig.h"

using namespace modelhop;
using namespace modelhop::test;

namespace {

constexpr std::uint32_t kPartitions = 4;

StateName orphan(std::uint32_t lineage, std::uint64_t visits, std::uint64_t trial = 1, std::uint64_t experiment = 1) {
  StateName name{{experiment}, {trial}, lineage, visits, {}};
  name.hash.bytes[15] = 99;  // no row has it
  return name;
}

bool kept(const Rig& rig, const StateName& name) { return rig.core.judge(name).keep; }
std::string why(const Rig& rig, const StateName& name) { return rig.core.judge(name).why; }
StateName head(Rig& rig) { return name_of(rig.experiment().trials[0].head, kPartitions); }

// One trial of `epochs` epochs on one worker, after `visits` visits.
void run_visits(Rig& rig, std::uint64_t epochs, int visits) {
  REQUIRE(rig.create(make_spec(1, epochs), kPartitions).ok());
  rig.hello(1);
  for (int i = 0; i < visits; ++i) rig.finish(rig.open_leases().at(0));
}

}  // namespace

TEST_CASE("of a trial that lives, what its head has passed may go, and nothing level with it or ahead", "[core][gc]") {
  Rig rig;
  run_visits(rig, 3, 6);
  CHECK(head(rig).visits == 6);
  CHECK(kept(rig, head(rig)));
  CHECK(why(rig, head(rig)) == "its trial goes on from it");
  const StateName milestone = name_of(rig.experiment().trials[0].milestones[0].state, kPartitions);
  CHECK(why(rig, milestone) == "its trial's value is of it");
  for (std::uint64_t visits = 0; visits < 6; ++visits) CHECK_FALSE(kept(rig, orphan(0, visits)));
  CHECK(why(rig, orphan(0, 3)) == "its trial has passed it");
  for (std::uint64_t visits = 6; visits < 20; ++visits) CHECK(kept(rig, orphan(0, visits)));  // 6: inside the visit
  CHECK(kept(rig, orphan(1, 0)));
  CHECK(why(rig, orphan(0, 7)) == "its report may be on its way");
}

TEST_CASE("what the journal does not know yet is kept", "[core][gc]") {
  Rig rig;
  run_visits(rig, 2, 1);
  CHECK(kept(rig, orphan(0, 0, 2)));
  CHECK(kept(rig, orphan(0, 0, 0)));
  CHECK(kept(rig, orphan(0, 0, 1, 2)));
  CHECK(kept(rig, orphan(0, 0, 1, 0)));
}

TEST_CASE("what a worker holds is kept until the journal drops it, and what was lost may go", "[core][gc]") {
  Rig rig;
  run_visits(rig, 2, 1);
  std::vector<StateName> held;
  for (int i = 0; i < 2; ++i) {
    const LeaseRow lease = rig.open_leases().at(0);
    UnitDone done{lease.incarnation, rig.report(lease)};
    done.report.members[0].durable = false;
    rig.step(done);
    held.push_back(head(rig));
  }
  REQUIRE(rig.experiment().trials[0].held.size() == 2);
  for (const StateName& name : held) CHECK(why(rig, name) == "accepted, and its worker saves it");
  CHECK(why(rig, name_of(rig.experiment().trials[0].stored[0].ref, kPartitions)) == "its trial would go back to it");
  rig.step(WorkerGone{incarnation(1, 1), "its power went", false});
  REQUIRE(rig.experiment().trials[0].lineage == 1);
  REQUIRE(rig.experiment().trials[0].visits == 1);
  for (const StateName& name : held) {
    CHECK_FALSE(kept(rig, name));
    CHECK(why(rig, name) == "its trial went back and made others");
  }
  CHECK_FALSE(kept(rig, orphan(0, 50)));
  CHECK_FALSE(kept(rig, orphan(1, 0)));
  CHECK(kept(rig, orphan(1, 1)));
  CHECK(kept(rig, orphan(1, 2)));
}

TEST_CASE("of a trial that has ended all but its results may go; tried again, it never makes those names",
          "[core][gc]") {
  Rig rig;
  run_visits(rig, 3, 6);
  rig.step(ControlTrial{{}, {1}, {1}, TrialControl::kStop});
  const std::vector<StateName> may_go = {orphan(0, 3), orphan(0, 6), orphan(0, 7), orphan(0, 50)};
  for (const StateName& name : may_go) CHECK(why(rig, name) == "its trial has ended without it");
  for (const StateName& name : may_go) CHECK_FALSE(kept(rig, name));
  CHECK(kept(rig, orphan(1, 0)));  // of a journal that was restored since
  for (const SavedState& saved : rig.experiment().trials[0].stored) CHECK(kept(rig, name_of(saved.ref, kPartitions)));
  rig.step(ControlTrial{{}, {1}, {1}, TrialControl::kRetry});
  CHECK(rig.experiment().trials[0].lineage == 1);
  for (const StateName& name : may_go) CHECK_FALSE(kept(rig, name));
  const LeaseRow lease = rig.open_leases().at(0);
  UnitDone done{lease.incarnation, rig.report(lease)};
  done.report.members[0].state.lineage = 1;
  rig.step(done);
  CHECK(head(rig).lineage == 1);
  CHECK(head(rig).visits == 7);
  for (const StateName& name : may_go) CHECK_FALSE(kept(rig, name));
}

TEST_CASE("of a deleted experiment everything may go", "[core][gc]") {
  Rig rig;
  run_visits(rig, 1, kPartitions);
  REQUIRE(rig.experiment().ended());
  const StateName result = head(rig);
  CHECK(why(rig, result) == "save_experiment_best");
  rig.step(ControlExperiment{{}, {1}, Control::kDelete});
  for (const StateName& name : {result, orphan(0, 1), orphan(9, 9), orphan(0, 0, 77)}) {
    CHECK_FALSE(kept(rig, name));
    CHECK(why(rig, name) == "its experiment was deleted");
  }
}
