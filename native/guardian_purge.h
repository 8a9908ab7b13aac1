// Makes the kernel forget all that a table lists: names, then attributes, then data.
#ifndef DFS_NATIVE_GUARDIAN_PURGE_H_
#define DFS_NATIVE_GUARDIAN_PURGE_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>

#include "guardian_mount.h"

namespace dfs {

class Purge : public std::enable_shared_from_this<Purge> {
 public:
  // Given up when the node extends the lease after all.
  Purge(std::shared_ptr<WatchedMount> mount, uint64_t lease_end_ms)
      : mount_(std::move(mount)), lease_end_ms_(lease_end_ms), used_(mount_->SlotsUsed()) {}

  // On a thread of its own, since the kernel may wait for the node.
  void Run();
  // Only what the kernel does not wait for.
  void RunQuick();

 private:
  bool IsWanted() const { return mount_->Get(kernel_cache::kLeaseEndMs) == lease_end_ms_; }
  // @returns false when it was given up
  bool ForgetData();
  void StartThreads(int count);
  void Work();

  const std::shared_ptr<WatchedMount> mount_;
  const uint64_t lease_end_ms_;
  const uint64_t used_;
  std::atomic<uint64_t> next_slot_ = 0;
  std::mutex mutex_;
  std::condition_variable ended_;
  // At work on data, and those of them that there ever were.
  int running_ = 0;
  int started_ = 0;
};

}  // namespace dfs

#endif  // DFS_NATIVE_GUARDIAN_PURGE_H_
