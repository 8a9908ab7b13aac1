// A mount of the node the guardian watches over: the table of what the kernel may cache of it, and
// the guardian's own way to the connection. Shared with threads that the kernel may keep.
#ifndef DFS_NATIVE_GUARDIAN_MOUNT_H_
#define DFS_NATIVE_GUARDIAN_MOUNT_H_

#include <sys/types.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "kernel_cache_table.h"
#include "mount_calls.h"

namespace dfs {

class WatchedMount {
 public:
  // Null when there is no table of this process, or its descriptor cannot be had.
  static std::shared_ptr<WatchedMount> Open(const std::string& path, pid_t node);
  WatchedMount(std::atomic<uint64_t>* words, UniqueFd fuse, pid_t node, ino_t file)
      : words_(words), fuse_(std::move(fuse)), node_(node), file_(file) {}
  WatchedMount(const WatchedMount&) = delete;
  WatchedMount& operator=(const WatchedMount&) = delete;
  ~WatchedMount();

  uint64_t Get(kernel_cache::Word word) const { return words_[word].load(); }
  void Set(kernel_cache::Word word, uint64_t value) { words_[word].store(value); }
  uint64_t SlotsUsed() const {
    return std::min<uint64_t>(Get(kernel_cache::kSlotsUsed), kernel_cache::kSlots);
  }
  // An inode number, 0 in a free slot.
  uint64_t Slot(uint64_t slot) const { return words_[kernel_cache::kHeaderWords + slot].load(); }

  // The node has said that its mount ends.
  bool HasEnded() const { return Get(kernel_cache::kPid) != static_cast<uint64_t>(node_); }
  // `node` is the process that runs now. One whose last thread the kernel keeps has died too.
  bool HasLost(pid_t node) const;
  bool IsAt(const std::string& path) const;

  // No name holds any more. Without kIncEpoch nothing happens.
  void ForgetNames() const;
  // Never waits, unless the kernel is just dropping the inode.
  void ForgetAttributes(uint64_t ino) const;
  // Waits for answers to requests that read or write the file.
  void ForgetData(uint64_t ino) const;
  // Every request fails, and nothing waits any more. @returns false when that was not possible
  bool Abort() const;

 private:
  std::atomic<uint64_t>* const words_;
  const UniqueFd fuse_;
  const pid_t node_;
  const ino_t file_;
};

}  // namespace dfs

#endif  // DFS_NATIVE_GUARDIAN_MOUNT_H_
