// The wire structs of requests on open files, locks and extended attributes; see fuse_abi.h.
#ifndef DFS_NATIVE_FUSE_ABI_FILE_H_
#define DFS_NATIVE_FUSE_ABI_FILE_H_

#include <cstddef>
#include <cstdint>

#include "fuse_abi.h"

namespace dfs::fuse_abi {

struct OpenIn {
  uint32_t flags;
  uint32_t open_flags;
};
static_assert(sizeof(OpenIn) == 8);
static_assert(offsetof(OpenIn, open_flags) == 4);

struct CreateIn {  // then the name
  uint32_t flags;
  uint32_t mode;
  uint32_t umask;
  uint32_t open_flags;
};
static_assert(sizeof(CreateIn) == 16);
static_assert(offsetof(CreateIn, mode) == 4);
static_assert(offsetof(CreateIn, umask) == 8);
static_assert(offsetof(CreateIn, open_flags) == 12);

struct OpenOut {
  uint64_t fh;
  uint32_t open_flags;
  int32_t backing_id;
};
static_assert(sizeof(OpenOut) == 16);
static_assert(offsetof(OpenOut, open_flags) == 8);
static_assert(offsetof(OpenOut, backing_id) == 12);

struct CreateOut {
  EntryOut entry;
  OpenOut open;
};
static_assert(sizeof(CreateOut) == 144);
static_assert(offsetof(CreateOut, open) == 128);

struct ReadIn {
  uint64_t fh;
  uint64_t offset;
  uint32_t size;
  uint32_t read_flags;
  uint64_t lock_owner;
  uint32_t flags;
  uint32_t padding;
};
static_assert(sizeof(ReadIn) == 40);
static_assert(offsetof(ReadIn, offset) == 8);
static_assert(offsetof(ReadIn, size) == 16);
static_assert(offsetof(ReadIn, read_flags) == 20);
static_assert(offsetof(ReadIn, lock_owner) == 24);
static_assert(offsetof(ReadIn, flags) == 32);

struct WriteIn {  // then the data
  uint64_t fh;
  uint64_t offset;
  uint32_t size;
  uint32_t write_flags;
  uint64_t lock_owner;
  uint32_t flags;
  uint32_t padding;
};
static_assert(sizeof(WriteIn) == 40);
static_assert(offsetof(WriteIn, offset) == 8);
static_assert(offsetof(WriteIn, size) == 16);
static_assert(offsetof(WriteIn, write_flags) == 20);
static_assert(offsetof(WriteIn, lock_owner) == 24);
static_assert(offsetof(WriteIn, flags) == 32);

struct WriteOut {
  uint32_t size;
  uint32_t padding;
};
static_assert(sizeof(WriteOut) == 8);

struct ReleaseIn {
  uint64_t fh;
  uint32_t flags;
  uint32_t release_flags;
  uint64_t lock_owner;
};
static_assert(sizeof(ReleaseIn) == 24);
static_assert(offsetof(ReleaseIn, flags) == 8);
static_assert(offsetof(ReleaseIn, release_flags) == 12);
static_assert(offsetof(ReleaseIn, lock_owner) == 16);

struct FlushIn {
  uint64_t fh;
  uint32_t unused;
  uint32_t padding;
  uint64_t lock_owner;
};
static_assert(sizeof(FlushIn) == 24);
static_assert(offsetof(FlushIn, lock_owner) == 16);

struct FsyncIn {
  uint64_t fh;
  uint32_t fsync_flags;
  uint32_t padding;
};
static_assert(sizeof(FsyncIn) == 16);
static_assert(offsetof(FsyncIn, fsync_flags) == 8);

struct FileLock {
  uint64_t start;
  uint64_t end;  // inclusive
  uint32_t type;
  uint32_t pid;
};
static_assert(sizeof(FileLock) == 24);
static_assert(offsetof(FileLock, end) == 8);
static_assert(offsetof(FileLock, type) == 16);
static_assert(offsetof(FileLock, pid) == 20);

struct LkIn {
  uint64_t fh;
  uint64_t owner;
  FileLock lk;
  uint32_t lk_flags;
  uint32_t padding;
};
static_assert(sizeof(LkIn) == 48);
static_assert(offsetof(LkIn, owner) == 8);
static_assert(offsetof(LkIn, lk) == 16);
static_assert(offsetof(LkIn, lk_flags) == 40);

struct LkOut {
  FileLock lk;
};
static_assert(sizeof(LkOut) == 24);

struct Kstatfs {
  uint64_t blocks;
  uint64_t bfree;
  uint64_t bavail;
  uint64_t files;
  uint64_t ffree;
  uint32_t bsize;
  uint32_t namelen;
  uint32_t frsize;
  uint32_t padding;
  uint32_t spare[6];
};
static_assert(sizeof(Kstatfs) == 80);
static_assert(offsetof(Kstatfs, bfree) == 8);
static_assert(offsetof(Kstatfs, bavail) == 16);
static_assert(offsetof(Kstatfs, files) == 24);
static_assert(offsetof(Kstatfs, ffree) == 32);
static_assert(offsetof(Kstatfs, bsize) == 40);
static_assert(offsetof(Kstatfs, namelen) == 44);
static_assert(offsetof(Kstatfs, frsize) == 48);

struct SetxattrIn {  // with SETXATTR_EXT; then the name and the value
  uint32_t size;
  uint32_t flags;
  uint32_t setxattr_flags;
  uint32_t padding;
};
static_assert(sizeof(SetxattrIn) == 16);
static_assert(offsetof(SetxattrIn, flags) == 4);
static_assert(offsetof(SetxattrIn, setxattr_flags) == 8);

struct GetxattrIn {  // then the name
  uint32_t size;
  uint32_t padding;
};
static_assert(sizeof(GetxattrIn) == 8);

struct GetxattrOut {
  uint32_t size;
  uint32_t padding;
};
static_assert(sizeof(GetxattrOut) == 8);

struct AccessIn {
  uint32_t mask;
  uint32_t padding;
};
static_assert(sizeof(AccessIn) == 8);

struct InterruptIn {
  uint64_t unique;
};
static_assert(sizeof(InterruptIn) == 8);

struct FallocateIn {
  uint64_t fh;
  uint64_t offset;
  uint64_t length;
  uint32_t mode;
  uint32_t padding;
};
static_assert(sizeof(FallocateIn) == 32);
static_assert(offsetof(FallocateIn, offset) == 8);
static_assert(offsetof(FallocateIn, length) == 16);
static_assert(offsetof(FallocateIn, mode) == 24);

struct LseekIn {
  uint64_t fh;
  uint64_t offset;
  uint32_t whence;
  uint32_t padding;
};
static_assert(sizeof(LseekIn) == 24);
static_assert(offsetof(LseekIn, offset) == 8);
static_assert(offsetof(LseekIn, whence) == 16);

struct LseekOut {
  uint64_t offset;
};
static_assert(sizeof(LseekOut) == 8);

struct CopyFileRangeIn {
  uint64_t fh_in;
  uint64_t off_in;
  uint64_t nodeid_out;
  uint64_t fh_out;
  uint64_t off_out;
  uint64_t len;
  uint64_t flags;
};
static_assert(sizeof(CopyFileRangeIn) == 56);
static_assert(offsetof(CopyFileRangeIn, off_in) == 8);
static_assert(offsetof(CopyFileRangeIn, nodeid_out) == 16);
static_assert(offsetof(CopyFileRangeIn, fh_out) == 24);
static_assert(offsetof(CopyFileRangeIn, off_out) == 32);
static_assert(offsetof(CopyFileRangeIn, len) == 40);
static_assert(offsetof(CopyFileRangeIn, flags) == 48);

struct CopyFileRangeOut {  // of COPY_FILE_RANGE_64; the older opcode answers with WriteOut
  uint64_t bytes_copied;
};
static_assert(sizeof(CopyFileRangeOut) == 8);

struct IoctlIn {  // then in_size bytes
  uint64_t fh;
  uint32_t flags;
  uint32_t cmd;
  uint64_t arg;
  uint32_t in_size;
  uint32_t out_size;
};
static_assert(sizeof(IoctlIn) == 32);
static_assert(offsetof(IoctlIn, flags) == 8);
static_assert(offsetof(IoctlIn, cmd) == 12);
static_assert(offsetof(IoctlIn, arg) == 16);
static_assert(offsetof(IoctlIn, in_size) == 24);
static_assert(offsetof(IoctlIn, out_size) == 28);

struct IoctlOut {  // then the data
  int32_t result;
  uint32_t flags;
  uint32_t in_iovs;
  uint32_t out_iovs;
};
static_assert(sizeof(IoctlOut) == 16);
static_assert(offsetof(IoctlOut, flags) == 4);
static_assert(offsetof(IoctlOut, in_iovs) == 8);
static_assert(offsetof(IoctlOut, out_iovs) == 12);

struct PollIn {
  uint64_t fh;
  uint64_t kh;
  uint32_t flags;
  uint32_t events;
};
static_assert(sizeof(PollIn) == 24);
static_assert(offsetof(PollIn, kh) == 8);
static_assert(offsetof(PollIn, flags) == 16);
static_assert(offsetof(PollIn, events) == 20);

struct PollOut {
  uint32_t revents;
  uint32_t padding;
};
static_assert(sizeof(PollOut) == 8);

struct SyncfsIn {
  uint64_t padding;
};
static_assert(sizeof(SyncfsIn) == 8);

// Where the data of a WRITE request begins.
inline constexpr size_t kWriteDataOffset = sizeof(InHeader) + sizeof(WriteIn);
static_assert(kWriteDataOffset == 80);

}  // namespace dfs::fuse_abi

#endif  // DFS_NATIVE_FUSE_ABI_FILE_H_
