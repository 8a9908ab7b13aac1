// The file in which a node says what the kernel may be caching of its mount; the guardian maps it
// too. Words of 64 bits, native byte order; aligned stores, so that none is read half.
#ifndef DFS_NATIVE_KERNEL_CACHE_TABLE_H_
#define DFS_NATIVE_KERNEL_CACHE_TABLE_H_

#include <cstddef>
#include <cstdint>

namespace dfs::kernel_cache {

inline constexpr uint64_t kMagic = 0x31656863616366;
inline constexpr uint64_t kVersion = 1;
inline constexpr size_t kHeaderWords = 16;
inline constexpr size_t kSlots = 262'144;
inline constexpr size_t kBytes = (kHeaderWords + kSlots) * sizeof(uint64_t);

// After the header: one inode number a slot, 0 in a free one.
enum Word : size_t {
  kMagicWord = 0,
  kVersionWord = 1,
  // The node; 0 once its mount has ended.
  kPid = 2,
  // Its descriptor of /dev/fuse; all ones once its mount has ended.
  kFd = 3,
  // CLOCK_BOOTTIME in milliseconds until which the kernel may answer from its caches; 0: never.
  kLeaseEndMs = 4,
  // The guardian that watches, 0 when none does.
  kWatcher = 5,
  kCapabilities = 6,
  // Slots from here on were never used.
  kSlotsUsed = 7,
  // How often the guardian made the kernel forget.
  kPurges = 8,
  // The lease at whose end it did so last.
  kPurgedLeaseEndMs = 9,
  // When the guardian looked last.
  kWatchedMs = 10,
};

// In kCapabilities: all names can be forgotten at once.
inline constexpr uint64_t kIncEpoch = 1;

}  // namespace dfs::kernel_cache

#endif  // DFS_NATIVE_KERNEL_CACHE_TABLE_H_
