// The wire structs of the raw FUSE protocol (linux/fuse.h, 7.45), in our own words because the
// distribution's header is older. The addon itself only needs a few sizes; the decoder and encoder
// in src/mount/driver/native work with offsets, and these assertions are what those offsets rest
// on: every size, and every offset the driver uses, is checked by the compiler.
//
// All integers little endian. Field names follow the protocol. Names and other variable parts come
// after the struct. fuse_abi_file.h and fuse_abi_notify.h have the rest.
#ifndef DFS_NATIVE_FUSE_ABI_H_
#define DFS_NATIVE_FUSE_ABI_H_

#include <cstddef>
#include <cstdint>

namespace dfs::fuse_abi {

struct InHeader {
  uint32_t len;
  uint32_t opcode;
  uint64_t unique;
  uint64_t nodeid;
  uint32_t uid;
  uint32_t gid;
  uint32_t pid;
  uint16_t total_extlen;  // in units of eight bytes
  uint16_t padding;
};
static_assert(sizeof(InHeader) == 40);
static_assert(offsetof(InHeader, opcode) == 4);
static_assert(offsetof(InHeader, unique) == 8);
static_assert(offsetof(InHeader, nodeid) == 16);
static_assert(offsetof(InHeader, uid) == 24);
static_assert(offsetof(InHeader, gid) == 28);
static_assert(offsetof(InHeader, pid) == 32);
static_assert(offsetof(InHeader, total_extlen) == 36);

struct OutHeader {
  uint32_t len;
  int32_t error;
  uint64_t unique;
};
static_assert(sizeof(OutHeader) == 16);
static_assert(offsetof(OutHeader, error) == 4);
static_assert(offsetof(OutHeader, unique) == 8);

struct InitIn {
  uint32_t major;
  uint32_t minor;
  uint32_t max_readahead;
  uint32_t flags;
  uint32_t flags2;
  uint32_t unused[11];
};
static_assert(sizeof(InitIn) == 64);
static_assert(offsetof(InitIn, minor) == 4);
static_assert(offsetof(InitIn, max_readahead) == 8);
static_assert(offsetof(InitIn, flags) == 12);
static_assert(offsetof(InitIn, flags2) == 16);

struct InitOut {
  uint32_t major;
  uint32_t minor;
  uint32_t max_readahead;
  uint32_t flags;
  uint16_t max_background;
  uint16_t congestion_threshold;
  uint32_t max_write;
  uint32_t time_gran;
  uint16_t max_pages;
  uint16_t map_alignment;
  uint32_t flags2;
  uint32_t max_stack_depth;
  uint16_t request_timeout;
  uint16_t unused[11];
};
static_assert(sizeof(InitOut) == 64);
static_assert(offsetof(InitOut, max_readahead) == 8);
static_assert(offsetof(InitOut, flags) == 12);
static_assert(offsetof(InitOut, max_background) == 16);
static_assert(offsetof(InitOut, congestion_threshold) == 18);
static_assert(offsetof(InitOut, max_write) == 20);
static_assert(offsetof(InitOut, time_gran) == 24);
static_assert(offsetof(InitOut, max_pages) == 28);
static_assert(offsetof(InitOut, map_alignment) == 30);
static_assert(offsetof(InitOut, flags2) == 32);
static_assert(offsetof(InitOut, max_stack_depth) == 36);
static_assert(offsetof(InitOut, request_timeout) == 40);

struct Attr {
  uint64_t ino;
  uint64_t size;
  uint64_t blocks;  // of 512 bytes
  int64_t atime;
  int64_t mtime;
  int64_t ctime;
  uint32_t atimensec;
  uint32_t mtimensec;
  uint32_t ctimensec;
  uint32_t mode;
  uint32_t nlink;
  uint32_t uid;
  uint32_t gid;
  uint32_t rdev;
  uint32_t blksize;
  uint32_t flags;
};
static_assert(sizeof(Attr) == 88);
static_assert(offsetof(Attr, size) == 8);
static_assert(offsetof(Attr, blocks) == 16);
static_assert(offsetof(Attr, atime) == 24);
static_assert(offsetof(Attr, mtime) == 32);
static_assert(offsetof(Attr, ctime) == 40);
static_assert(offsetof(Attr, atimensec) == 48);
static_assert(offsetof(Attr, mtimensec) == 52);
static_assert(offsetof(Attr, ctimensec) == 56);
static_assert(offsetof(Attr, mode) == 60);
static_assert(offsetof(Attr, nlink) == 64);
static_assert(offsetof(Attr, uid) == 68);
static_assert(offsetof(Attr, gid) == 72);
static_assert(offsetof(Attr, rdev) == 76);
static_assert(offsetof(Attr, blksize) == 80);
static_assert(offsetof(Attr, flags) == 84);

struct EntryOut {
  uint64_t nodeid;
  uint64_t generation;
  uint64_t entry_valid;
  uint64_t attr_valid;
  uint32_t entry_valid_nsec;
  uint32_t attr_valid_nsec;
  Attr attr;
};
static_assert(sizeof(EntryOut) == 128);
static_assert(offsetof(EntryOut, generation) == 8);
static_assert(offsetof(EntryOut, entry_valid) == 16);
static_assert(offsetof(EntryOut, attr_valid) == 24);
static_assert(offsetof(EntryOut, entry_valid_nsec) == 32);
static_assert(offsetof(EntryOut, attr_valid_nsec) == 36);
static_assert(offsetof(EntryOut, attr) == 40);

struct GetattrIn {
  uint32_t getattr_flags;
  uint32_t dummy;
  uint64_t fh;
};
static_assert(sizeof(GetattrIn) == 16);
static_assert(offsetof(GetattrIn, fh) == 8);

struct AttrOut {
  uint64_t attr_valid;
  uint32_t attr_valid_nsec;
  uint32_t dummy;
  Attr attr;
};
static_assert(sizeof(AttrOut) == 104);
static_assert(offsetof(AttrOut, attr_valid_nsec) == 8);
static_assert(offsetof(AttrOut, attr) == 16);

struct StatxIn {
  uint32_t getattr_flags;
  uint32_t reserved;
  uint64_t fh;
  uint32_t sx_flags;
  uint32_t sx_mask;
};
static_assert(sizeof(StatxIn) == 24);
static_assert(offsetof(StatxIn, fh) == 8);
static_assert(offsetof(StatxIn, sx_flags) == 16);
static_assert(offsetof(StatxIn, sx_mask) == 20);

struct StatxTime {
  int64_t tv_sec;
  uint32_t tv_nsec;
  int32_t reserved;
};
static_assert(sizeof(StatxTime) == 16);

struct Statx {
  uint32_t mask;
  uint32_t blksize;
  uint64_t attributes;
  uint32_t nlink;
  uint32_t uid;
  uint32_t gid;
  uint16_t mode;
  uint16_t spare0;
  uint64_t ino;
  uint64_t size;
  uint64_t blocks;
  uint64_t attributes_mask;
  StatxTime atime;
  StatxTime btime;
  StatxTime ctime;
  StatxTime mtime;
  uint32_t rdev_major;
  uint32_t rdev_minor;
  uint32_t dev_major;
  uint32_t dev_minor;
  uint64_t spare2[14];
};
static_assert(sizeof(Statx) == 256);
static_assert(offsetof(Statx, attributes) == 8);
static_assert(offsetof(Statx, nlink) == 16);
static_assert(offsetof(Statx, mode) == 28);
static_assert(offsetof(Statx, ino) == 32);
static_assert(offsetof(Statx, size) == 40);
static_assert(offsetof(Statx, blocks) == 48);
static_assert(offsetof(Statx, attributes_mask) == 56);
static_assert(offsetof(Statx, atime) == 64);
static_assert(offsetof(Statx, btime) == 80);
static_assert(offsetof(Statx, ctime) == 96);
static_assert(offsetof(Statx, mtime) == 112);
static_assert(offsetof(Statx, rdev_major) == 128);
static_assert(offsetof(Statx, rdev_minor) == 132);

struct StatxOut {
  uint64_t attr_valid;
  uint32_t attr_valid_nsec;
  uint32_t flags;
  uint64_t spare[2];
  Statx stat;
};
static_assert(sizeof(StatxOut) == 288);
static_assert(offsetof(StatxOut, attr_valid_nsec) == 8);
static_assert(offsetof(StatxOut, stat) == 32);

struct SetattrIn {
  uint32_t valid;
  uint32_t padding;
  uint64_t fh;
  uint64_t size;
  uint64_t lock_owner;
  int64_t atime;
  int64_t mtime;
  int64_t ctime;
  uint32_t atimensec;
  uint32_t mtimensec;
  uint32_t ctimensec;
  uint32_t mode;
  uint32_t unused4;
  uint32_t uid;
  uint32_t gid;
  uint32_t unused5;
};
static_assert(sizeof(SetattrIn) == 88);
static_assert(offsetof(SetattrIn, fh) == 8);
static_assert(offsetof(SetattrIn, size) == 16);
static_assert(offsetof(SetattrIn, lock_owner) == 24);
static_assert(offsetof(SetattrIn, atime) == 32);
static_assert(offsetof(SetattrIn, mtime) == 40);
static_assert(offsetof(SetattrIn, ctime) == 48);
static_assert(offsetof(SetattrIn, atimensec) == 56);
static_assert(offsetof(SetattrIn, mtimensec) == 60);
static_assert(offsetof(SetattrIn, ctimensec) == 64);
static_assert(offsetof(SetattrIn, mode) == 68);
static_assert(offsetof(SetattrIn, uid) == 76);
static_assert(offsetof(SetattrIn, gid) == 80);

struct MknodIn {  // then the name
  uint32_t mode;
  uint32_t rdev;
  uint32_t umask;
  uint32_t padding;
};
static_assert(sizeof(MknodIn) == 16);
static_assert(offsetof(MknodIn, rdev) == 4);
static_assert(offsetof(MknodIn, umask) == 8);

struct MkdirIn {  // then the name
  uint32_t mode;
  uint32_t umask;
};
static_assert(sizeof(MkdirIn) == 8);
static_assert(offsetof(MkdirIn, umask) == 4);

struct RenameIn {  // then the old and the new name
  uint64_t newdir;
};
static_assert(sizeof(RenameIn) == 8);

struct Rename2In {  // then the old and the new name
  uint64_t newdir;
  uint32_t flags;
  uint32_t padding;
};
static_assert(sizeof(Rename2In) == 16);
static_assert(offsetof(Rename2In, flags) == 8);

struct LinkIn {  // then the new name
  uint64_t oldnodeid;
};
static_assert(sizeof(LinkIn) == 8);

struct ForgetIn {
  uint64_t nlookup;
};
static_assert(sizeof(ForgetIn) == 8);

struct ForgetOne {
  uint64_t nodeid;
  uint64_t nlookup;
};
static_assert(sizeof(ForgetOne) == 16);
static_assert(offsetof(ForgetOne, nlookup) == 8);

struct BatchForgetIn {  // then count x ForgetOne
  uint32_t count;
  uint32_t dummy;
};
static_assert(sizeof(BatchForgetIn) == 8);

struct Dirent {  // then the name without a NUL, padded to eight bytes
  uint64_t ino;
  uint64_t off;
  uint32_t namelen;
  uint32_t type;
};
static_assert(sizeof(Dirent) == 24);
static_assert(offsetof(Dirent, off) == 8);
static_assert(offsetof(Dirent, namelen) == 16);
static_assert(offsetof(Dirent, type) == 20);

struct Direntplus {  // then the name without a NUL, padded to eight bytes
  EntryOut entry;
  Dirent dirent;
};
static_assert(sizeof(Direntplus) == 152);
static_assert(offsetof(Direntplus, dirent) == 128);

// Extensions of create requests come last, each padded to eight bytes.
struct ExtHeader {
  uint32_t size;
  uint32_t type;
};
static_assert(sizeof(ExtHeader) == 8);
static_assert(offsetof(ExtHeader, type) == 4);

struct SuppGroups {  // then nr_groups x uint32_t
  uint32_t nr_groups;
};
static_assert(sizeof(SuppGroups) == 4);

// A request shorter than this has no header; the kernel refuses a read into less than the minimum.
inline constexpr size_t kMinReadBytes = 8192;

}  // namespace dfs::fuse_abi

#endif  // DFS_NATIVE_FUSE_ABI_H_
