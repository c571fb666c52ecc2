// The durable state as bytes, and back. Format: docs/formats.md, "Snapshot".
#include <algorithm>

#include "common/wire/bytes.h"
#include "scheduler/core/check_rows.h"
#include "scheduler/core/impl.h"
#include "scheduler/core/misfit.h"
#include "scheduler/core/state_fields.h"
#include "scheduler/core/tables.h"

namespace modelhop {
namespace {

// What the search was told, in the order it was told.
std::vector<std::pair<std::uint64_t, SearchRecord>> search_records(const ExperimentRow& row) {
  std::vector<std::pair<std::uint64_t, SearchRecord>> records;
  for (const TrialRow& trial : row.trials) {
    if (trial.asked && !planted(Mistake::kForkTold)) continue;
    records.emplace_back(trial.created_seq,
                         SearchTrialCreated{trial.id, trial.params, trial.target_visits, trial.origin});
    for (const Milestone& m : trial.milestones) {
      records.emplace_back(m.seq, SearchEvaluated{trial.id, m.visits, m.value});
    }
    if (!live(trial.state)) records.emplace_back(trial.ended_seq, SearchTrialEnded{trial.id, end_of(trial.state)});
  }
  std::stable_sort(records.begin(), records.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  if (planted(Mistake::kSearchFedShort) && !records.empty()) records.pop_back();
  return records;
}

}  // namespace

Result<std::unique_ptr<Search>> make_search(const CoreHooks& hooks, const ExperimentRow& experiment) {
  ASSIGN_OR_RETURN(std::unique_ptr<Search> search, hooks.make_search(experiment.spec, experiment.partitions));
  for (const auto& [seq, record] : search_records(experiment)) search->apply(record);
  return search;
}

std::vector<std::uint8_t> Core::Impl::save() const {
  ByteWriter writer;
  writer.put(kStateFormat);
  fields(writer, state);
  fields(writer, index.totals);
  return std::move(writer.bytes);
}

Status Core::Impl::load(std::span<const std::uint8_t> bytes) {
  State read;
  Totals totals;
  ByteReader reader(bytes);
  std::uint32_t format = 0;
  reader("format", format);
  if (reader.status().ok() && (format == 0 || format > kStateFormat)) {
    return invalid("a state of format " + std::to_string(format) + ", this program reads up to format " +
                   std::to_string(kStateFormat));
  }
  reader.format = format;
  fields(reader, read);
  fields(reader, totals);
  RETURN_IF_ERROR(reader.status());
  REFUSE_IF(!reader.at_end(), "state: " + std::to_string(bytes.size() - reader.offset()) + " bytes too many");
  RETURN_IF_ERROR(check_rows(read));
  for (ExperimentRow& row : read.experiments) {
    ASSIGN_OR_RETURN(row.spec, hooks.load_spec(row.spec->expanded));
    if (row.state == ExperimentState::kDeleted) continue;
    ASSIGN_OR_RETURN(row.search, make_search(hooks, row));
  }
  state = std::move(read);
  index.totals = totals;
  build_index(state, index);
  return {};
}

}  // namespace modelhop
