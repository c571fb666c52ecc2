#include "scheduler/server/snapshot_keeper.h"

#include <spdlog/spdlog.h>

#include "common/store/archive.h"
#include "common/store/snapshot_file.h"

namespace modelhop {

std::function<void()> SnapshotKeeper::due_on_loop(const Core& core) {
  const State& state = core.state();
  if (state.seq - last_ < config_.every || busy_) return nullptr;
  busy_ = true;
  last_ = state.seq;
  std::vector<ExperimentId> deleted;
  for (const ExperimentRow& row : state.experiments) {
    if (row.state == ExperimentState::kDeleted) deleted.push_back(row.id);
  }
  const Instant before = monotonic_now();
  auto saved = std::make_shared<const std::vector<std::uint8_t>>(core.save());
  log_.info("snapshot of record {}: {} bytes saved in {:.1f} ms", state.seq, saved->size(),
            static_cast<double>(monotonic_now() - before) / kMillisecond);
  return [this, seq = state.seq, saved = std::move(saved), deleted = std::move(deleted)] {
    if (!thread_.post([this, seq, saved, deleted] { write_on_thread(seq, *saved, deleted); })) busy_ = false;
  };
}

void SnapshotKeeper::write_on_thread(std::uint64_t seq, const std::vector<std::uint8_t>& state,
                                     const std::vector<ExperimentId>& deleted) {
  Status status = write(seq, state);
  if (status.ok()) status = compact(deleted);
  if (!status.ok()) log_.warn("{}; tried again in {} records", status.message(), config_.every);
  busy_ = false;
}

Status SnapshotKeeper::write(std::uint64_t seq, const std::vector<std::uint8_t>& state) {
  ASSIGN_OR_RETURN(const auto check, stored_check(config_.state_dir, seq));
  if (!check) return corrupt(config_.state_dir + ": record " + std::to_string(seq) + " is missing");
  RETURN_IF_ERROR(write_snapshot(config_.state_dir, {{seq, *check}, state}));
  return remove_old_snapshots(config_.state_dir);
}

// Only what is before two good snapshots leaves: where one is damaged, the other needs the records after it.
Status SnapshotKeeper::compact(const std::vector<ExperimentId>& deleted) {
  const std::vector<std::uint64_t> snapshots = list_snapshots(config_.state_dir);
  if (snapshots.size() < kSnapshotsKept) return {};
  RETURN_IF_ERROR(read_snapshot(config_.state_dir, snapshots.back()).status());
  // Segments whose records have left; what leaves below has its turn after the next snapshot.
  RETURN_IF_ERROR(drop_experiments(config_.state_dir, {deleted.begin(), deleted.end()}));
  if (config_.history_max) RETURN_IF_ERROR(trim_archive(config_.state_dir, *config_.history_max));
  ASSIGN_OR_RETURN(const JournalEnd archived, archive_until(config_.state_dir, snapshots.back()));
  journal_.leave_until(archived);
  if (config_.history_max) return trim_archive(config_.state_dir, *config_.history_max);
  return {};
}

}  // namespace modelhop
