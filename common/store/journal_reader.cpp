#include <filesystem>
#include <limits>

#include "common/store/journal.h"
#include "common/store/journal_format.h"

namespace modelhop {
namespace {

// A line made of what the row holds; equal to to_json(Record).
std::string line_of(std::uint64_t seq, WallMs at, ExperimentId experiment, std::string_view type, std::uint64_t version,
                    std::string_view body) {
  std::string json = "{\"at\":\"" + to_iso8601(at) + "\",\"body\":";
  json += body;
  json += ",\"experiment\":" + (experiment ? "\"" + to_string(experiment) + "\"" : std::string("null"));
  json += ",\"seq\":" + std::to_string(seq) + ",\"type\":\"";
  json += type;
  return json + "\",\"version\":" + std::to_string(version) + "}";
}

class SqliteJournalReader final : public JournalReader {
 public:
  explicit SqliteJournalReader(Database database) : database_(std::move(database)) {}

  Result<std::vector<JournalLine>> lines(std::uint64_t after, ExperimentId experiment, std::size_t limit) override {
    constexpr std::uint64_t kLargest = std::numeric_limits<std::int64_t>::max();
    ASSIGN_OR_RETURN(
        Statement rows,
        database_.prepare(std::string("SELECT seq, at, experiment, type, version, body FROM records WHERE seq > ?") +
                          (experiment ? " AND experiment = ?" : "") + " ORDER BY seq LIMIT ?"));
    int parameter = 1;
    rows.bind(parameter++, std::min(after, kLargest));
    if (experiment) rows.bind(parameter++, std::min(experiment.value, kLargest));
    rows.bind(parameter, std::min<std::uint64_t>(limit, kLargest));
    std::vector<JournalLine> lines;
    for (;;) {
      ASSIGN_OR_RETURN(const bool row, rows.step());
      if (!row) return lines;
      JournalLine line{rows.integer(0), {rows.integer(2)}, std::string(rows.text(3)), {}};
      line.json = line_of(line.seq, {static_cast<std::int64_t>(rows.integer(1))}, line.experiment, line.type,
                          rows.integer(4), rows.text(5));
      lines.push_back(std::move(line));
    }
  }

 private:
  Database database_;
};

Result<Database> open_for_reading(const std::string& state_dir) {
  const std::string path = journal_path(state_dir);
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    return not_found(state_dir + ": holds no journal.db; is it a scheduler's --state-dir?");
  }
  ASSIGN_OR_RETURN(Database database, Database::open(path, Database::Mode::kRead));
  RETURN_IF_ERROR(verify_journal_header(database, path));
  return database;
}

}  // namespace

std::string journal_path(const std::string& state_dir) { return state_dir + "/journal.db"; }

ContentHash journal_check(const ContentHash& before, std::uint64_t seq, WallMs at, std::string_view type,
                          std::uint16_t version, std::string_view body) {
  Hasher hasher;
  hasher.add(before.bytes);
  hasher.add_u64(seq);
  hasher.add_u64(static_cast<std::uint64_t>(at.value));
  hasher.add_u64(type.size());
  hasher.add(type);
  hasher.add_u64(version);
  hasher.add(body);
  return hasher.finish();
}

Status verify_journal_header(Database& database, const std::string& path) {
  ASSIGN_OR_RETURN(const std::uint64_t application, database.number("PRAGMA application_id"));
  if (application != kJournalApplicationId) return corrupt(path + ": is an SQLite file, but no journal of modelhop");
  ASSIGN_OR_RETURN(const std::uint64_t version, database.number("PRAGMA user_version"));
  if (version != kJournalVersion) {
    return invalid(path + ": has format " + std::to_string(version) + ", this program reads format " +
                   std::to_string(kJournalVersion));
  }
  return {};
}

Status read_journal(const std::string& state_dir, const std::function<Status(const Record&)>& sink) {
  ASSIGN_OR_RETURN(Database database, open_for_reading(state_dir));
  ASSIGN_OR_RETURN(Statement rows,
                   database.prepare("SELECT seq, at, type, version, body, hash FROM records ORDER BY seq"));
  ContentHash check;
  for (std::uint64_t seq = 1;; ++seq) {
    const auto damaged = [&](const std::string& what) {
      return corrupt(journal_path(state_dir) + ": record " + std::to_string(seq) + " " + what);
    };
    const Result<bool> row = rows.step();
    if (!row.ok()) return Status(row.status().code(), damaged("cannot be read: " + row.status().message()).message());
    if (!*row) return {};
    if (rows.integer(0) != seq) return damaged("is missing");
    const WallMs at{static_cast<std::int64_t>(rows.integer(1))};
    const std::uint64_t version = rows.integer(3);
    if (version > std::numeric_limits<std::uint16_t>::max()) return damaged("has no version");
    check = journal_check(check, seq, at, rows.text(2), static_cast<std::uint16_t>(version), rows.text(4));
    const auto hash = rows.blob(5);
    if (!std::equal(hash.begin(), hash.end(), check.bytes.begin(), check.bytes.end())) {
      return damaged("or one before it is not what was written");
    }
    Result<RecordBody> body = parse_record(rows.text(2), static_cast<std::uint16_t>(version), rows.text(4));
    if (!body.ok())
      return Status(body.status().code(), damaged("cannot be read: " + body.status().message()).message());
    if (Status status = sink(Record{seq, at, std::move(*body)}); !status.ok()) {
      return Status(status.code(), damaged("does not fit: " + status.message()).message());
    }
  }
}

Result<std::unique_ptr<JournalReader>> open_journal_reader(const std::string& state_dir) {
  ASSIGN_OR_RETURN(Database database, open_for_reading(state_dir));
  return std::unique_ptr<JournalReader>(std::make_unique<SqliteJournalReader>(std::move(database)));
}

}  // namespace modelhop
