// The wire structs of notifications, which the driver writes of its own accord; see fuse_abi.h.
#ifndef DFS_NATIVE_FUSE_ABI_NOTIFY_H_
#define DFS_NATIVE_FUSE_ABI_NOTIFY_H_

#include <cstddef>
#include <cstdint>

#include "fuse_abi.h"

namespace dfs::fuse_abi {

// Notifications: an OutHeader with unique 0 and the code in `error`, then one of these.
struct NotifyInvalInodeOut {
  uint64_t ino;
  int64_t off;
  int64_t len;
};
static_assert(sizeof(NotifyInvalInodeOut) == 24);
static_assert(offsetof(NotifyInvalInodeOut, off) == 8);
static_assert(offsetof(NotifyInvalInodeOut, len) == 16);

struct NotifyInvalEntryOut {  // then the name with a NUL
  uint64_t parent;
  uint32_t namelen;
  uint32_t flags;
};
static_assert(sizeof(NotifyInvalEntryOut) == 16);
static_assert(offsetof(NotifyInvalEntryOut, namelen) == 8);
static_assert(offsetof(NotifyInvalEntryOut, flags) == 12);

struct NotifyDeleteOut {  // then the name with a NUL
  uint64_t parent;
  uint64_t child;
  uint32_t namelen;
  uint32_t padding;
};
static_assert(sizeof(NotifyDeleteOut) == 24);
static_assert(offsetof(NotifyDeleteOut, child) == 8);
static_assert(offsetof(NotifyDeleteOut, namelen) == 16);

struct NotifyStoreOut {  // then the data
  uint64_t nodeid;
  uint64_t offset;
  uint32_t size;
  uint32_t padding;
};
static_assert(sizeof(NotifyStoreOut) == 24);
static_assert(offsetof(NotifyStoreOut, offset) == 8);
static_assert(offsetof(NotifyStoreOut, size) == 16);

struct NotifyRetrieveOut {
  uint64_t notify_unique;
  uint64_t nodeid;
  uint64_t offset;
  uint32_t size;
  uint32_t padding;
};
static_assert(sizeof(NotifyRetrieveOut) == 32);
static_assert(offsetof(NotifyRetrieveOut, nodeid) == 8);
static_assert(offsetof(NotifyRetrieveOut, offset) == 16);
static_assert(offsetof(NotifyRetrieveOut, size) == 24);

struct NotifyRetrieveIn {  // then the data
  uint64_t dummy1;
  uint64_t offset;
  uint32_t size;
  uint32_t dummy2;
  uint64_t dummy3;
  uint64_t dummy4;
};
static_assert(sizeof(NotifyRetrieveIn) == 40);
static_assert(offsetof(NotifyRetrieveIn, offset) == 8);
static_assert(offsetof(NotifyRetrieveIn, size) == 16);

struct NotifyPruneOut {  // then count x uint64_t
  uint32_t count;
  uint32_t padding;
  uint64_t spare;
};
static_assert(sizeof(NotifyPruneOut) == 16);
static_assert(offsetof(NotifyPruneOut, spare) == 8);

struct NotifyPollWakeupOut {
  uint64_t kh;
};
static_assert(sizeof(NotifyPollWakeupOut) == 8);

}  // namespace dfs::fuse_abi

#endif  // DFS_NATIVE_FUSE_ABI_NOTIFY_H_
