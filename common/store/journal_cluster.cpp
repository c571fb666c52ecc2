#include <algorithm>
#include <random>

#include "common/store/journal_format.h"

namespace modelhop {

Result<ClusterId> ensure_cluster(Database& database, const std::string& path) {
  RETURN_IF_ERROR(database.run("CREATE TABLE IF NOT EXISTS cluster (id BLOB NOT NULL, hash BLOB NOT NULL)"));
  {
    ASSIGN_OR_RETURN(Statement row, database.prepare("SELECT id, hash FROM cluster"));
    ASSIGN_OR_RETURN(const bool there, row.step());
    if (there) {
      ClusterId cluster;
      const auto id = row.blob(0), hash = row.blob(1);
      const ContentHash wanted = hash_bytes(id);
      if (id.size() != cluster.bytes.size() ||
          !std::equal(hash.begin(), hash.end(), wanted.bytes.begin(), wanted.bytes.end())) {
        return corrupt(path + ": its cluster id is not what was written; restore a backup");
      }
      std::copy(id.begin(), id.end(), cluster.bytes.begin());
      return cluster;
    }
  }
  ClusterId cluster;
  std::random_device random;
  for (std::uint8_t& byte : cluster.bytes) byte = static_cast<std::uint8_t>(random());
  const ContentHash hash = hash_bytes(cluster.bytes);
  ASSIGN_OR_RETURN(Statement insert, database.prepare("INSERT INTO cluster (id, hash) VALUES (?, ?)"));
  insert.bind(1, cluster.bytes);
  insert.bind(2, hash.bytes);
  RETURN_IF_ERROR(insert.step().status());
  return cluster;
}

}  // namespace modelhop
