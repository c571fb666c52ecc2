#include "common/store/archive.h"
#include "common/store/journal.h"
#include "common/store/journal_format.h"

namespace modelhop {
namespace {

// A line made of what the row holds; equal to to_json(Record).
std::string line_of(const JournalSequence::Row& row) {
  const ExperimentId experiment{row.experiment};
  std::string json = "{\"at\":\"" + to_iso8601({static_cast<std::int64_t>(row.at)}) + "\",\"body\":";
  json += row.body;
  json += ",\"experiment\":" + (experiment ? "\"" + to_string(experiment) + "\"" : std::string("null"));
  json += ",\"seq\":" + std::to_string(row.seq) + ",\"type\":\"";
  json += row.type;
  return json + "\",\"version\":" + std::to_string(row.version) + "}";
}

class SqliteJournalReader final : public JournalReader {
 public:
  explicit SqliteJournalReader(JournalSequence sequence) : sequence_(std::move(sequence)) {}

  Result<std::vector<JournalLine>> lines(std::uint64_t after, ExperimentId experiment, std::size_t limit) override {
    std::vector<JournalLine> lines;
    if (limit == 0) return lines;
    RETURN_IF_ERROR(in_one_moment([&] {
      return sequence_.walk(after, experiment, [&](const JournalSequence::Row& row) -> Result<bool> {
        lines.push_back({row.seq, {row.experiment}, std::string(row.type), line_of(row)});
        return lines.size() < limit;
      });
    }));
    return lines;
  }

  Result<std::uint64_t> gone_before(std::uint64_t after, ExperimentId experiment) override {
    std::uint64_t gone = 0;
    RETURN_IF_ERROR(in_one_moment([&]() -> Status {
      if (after >= sequence_.left()) return {};
      const std::uint64_t first = sequence_.first();
      if (after + 1 >= first) return {};
      gone = first;
      if (!experiment) return {};
      return sequence_.walk(0, experiment, [&](const JournalSequence::Row& row) -> Result<bool> {
        if (row.type == "experiment_created") gone = 0;  // it began later: nothing of it is gone
        return false;
      });
    }));
    return gone;
  }

 private:
  template <class Body>
  Status in_one_moment(Body body) {
    RETURN_IF_ERROR(sequence_.begin(false));
    Status status = body();
    sequence_.end();
    return status;
  }
  JournalSequence sequence_;
};

Status read_rows(JournalSequence& sequence, JournalEnd& end, const std::function<Status(const Record&)>& sink,
                 std::uint64_t until) {
  if (end.seq > 0) {
    ASSIGN_OR_RETURN(const auto stored, sequence.check_of(end.seq));
    if (!stored) {
      ASSIGN_OR_RETURN(const JournalEnd last, sequence.last());
      return corrupt("record " + std::to_string(end.seq) + " is missing; the last is " + std::to_string(last.seq));
    }
    if (*stored != end.check) return corrupt("record " + std::to_string(end.seq) + " is another one");
  }
  if (end.seq >= until) return {};
  return sequence.walk(end.seq, {}, [&](const JournalSequence::Row& row) -> Result<bool> {
    const WallMs at{static_cast<std::int64_t>(row.at)};
    JournalEnd next = end;
    RETURN_IF_ERROR(verify_row(row.seq, at, row.type, row.version, row.body, row.check, next));
    const std::string name = "record " + std::to_string(next.seq);
    Result<RecordBody> body = parse_record(row.type, static_cast<std::uint16_t>(row.version), row.body);
    if (!body.ok()) return Status(body.status().code(), name + " cannot be read: " + body.status().message());
    if (Status status = sink(Record{row.seq, at, std::move(*body)}); !status.ok()) {
      return Status(status.code(), name + " does not fit: " + status.message());
    }
    end = next;
    return end.seq < until;
  });
}

}  // namespace

Result<JournalEnd> read_journal(const std::string& state_dir, const JournalEnd& after,
                                const std::function<Status(const Record&)>& sink, std::uint64_t until) {
  JournalEnd end = after;
  const auto failed = [&](const Status& status) -> Status {
    if (status.code() == Code::kNotFound) return status;
    const std::string& message = status.message();
    // SQLite's own words name no record: the one that was to be read next is.
    const bool named = message.find("record ") != std::string::npos;
    return {status.code(),
            journal_path(state_dir) + ": " +
                (named ? message : "record " + std::to_string(end.seq + 1) + " cannot be read: " + message)};
  };
  Result<JournalSequence> sequence = JournalSequence::open(state_dir);
  if (!sequence.ok()) return failed(sequence.status());
  if (const Status status = sequence->begin(); !status.ok()) return failed(status);
  const Status status = read_rows(*sequence, end, sink, until);
  sequence->end();
  if (!status.ok()) return failed(status);
  return end;
}

Status read_journal(const std::string& state_dir, const std::function<Status(const Record&)>& sink) {
  return read_journal(state_dir, JournalEnd{}, sink).status();
}

Result<std::optional<ContentHash>> stored_check(const std::string& state_dir, std::uint64_t seq) {
  ASSIGN_OR_RETURN(JournalSequence sequence, JournalSequence::open(state_dir));
  RETURN_IF_ERROR(sequence.begin());
  return sequence.check_of(seq);
}

Result<std::unique_ptr<JournalReader>> open_journal_reader(const std::string& state_dir) {
  ASSIGN_OR_RETURN(JournalSequence sequence, JournalSequence::open(state_dir));
  return std::unique_ptr<JournalReader>(std::make_unique<SqliteJournalReader>(std::move(sequence)));
}

}  // namespace modelhop
