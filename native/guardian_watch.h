// Makes the kernel forget what it caches of a mount when the node that serves it has fallen silent
// past the end of its leases, or has died: its own purge would have been first.
#ifndef DFS_NATIVE_GUARDIAN_WATCH_H_
#define DFS_NATIVE_GUARDIAN_WATCH_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "guardian_mount.h"

namespace dfs {

class CacheWatch {
 public:
  explicit CacheWatch(std::string path) : path_(std::move(path)) {}
  CacheWatch(const CacheWatch&) = delete;
  CacheWatch& operator=(const CacheWatch&) = delete;
  ~CacheWatch();

  // `node` is the process that runs now, 0 when none does.
  void Turn(pid_t node);
  // Boot milliseconds of the next thing to do; -1 when nothing is watched.
  long long due_ms() const;

 private:
  void LetGo(pid_t node);
  void Bury();
  bool IsPurgeAhead(uint64_t lease_end_ms) const;

  const std::string path_;
  std::shared_ptr<WatchedMount> mount_;
  // The lease at whose end a purge was begun.
  uint64_t begun_ms_ = 0;
};

}  // namespace dfs

#endif  // DFS_NATIVE_GUARDIAN_WATCH_H_
