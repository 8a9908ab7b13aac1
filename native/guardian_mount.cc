#include "guardian_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fuse_abi.h"
#include "fuse_abi_notify.h"
#include "fuse_abort.h"
#include "guardian_files.h"

namespace dfs {
namespace {

// FUSE_NOTIFY_*.
constexpr int32_t kInvalInode = 2;
constexpr int32_t kIncEpoch = 8;
constexpr int64_t kAttributesOnly = -1;
constexpr int64_t kFromTheStart = 0;

void Notify(int fd, int32_t code, const void* body, size_t length) {
  struct {
    fuse_abi::OutHeader header;
    std::byte body[sizeof(fuse_abi::NotifyInvalInodeOut)];
  } message{};
  message.header.len = static_cast<uint32_t>(sizeof(message.header) + length);
  message.header.error = code;
  if (length > 0) std::copy_n(static_cast<const std::byte*>(body), length, message.body);
  // ENOENT: the kernel has dropped it by itself.
  while (write(fd, &message, message.header.len) < 0 && errno == EINTR) {
  }
}

void ForgetInode(int fd, uint64_t ino, int64_t offset) {
  fuse_abi::NotifyInvalInodeOut body{};
  body.ino = ino;
  body.off = offset;
  Notify(fd, kInvalInode, &body, sizeof(body));
}

// Empty when it is not /dev/fuse: a number is given to another file once it is closed.
UniqueFd FuseOf(pid_t pid, int number) {
  const UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (pidfd.get() < 0) return {};
  UniqueFd fd(static_cast<int>(syscall(SYS_pidfd_getfd, pidfd.get(), number, 0)));
  struct stat device{};
  struct stat status{};
  if (fd.get() < 0 || fstat(fd.get(), &status) != 0 || stat("/dev/fuse", &device) != 0) return {};
  if (!S_ISCHR(status.st_mode) || status.st_rdev != device.st_rdev) return {};
  return fd;
}

}  // namespace

std::shared_ptr<WatchedMount> WatchedMount::Open(const std::string& path, pid_t node) {
  const UniqueFd file(open(path.c_str(), O_RDWR | O_CLOEXEC));
  struct stat status{};
  if (file.get() < 0 || fstat(file.get(), &status) != 0) return nullptr;
  if (static_cast<size_t>(status.st_size) != kernel_cache::kBytes) return nullptr;
  void* memory = mmap(nullptr, kernel_cache::kBytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                      file.get(), 0);
  if (memory == MAP_FAILED) return nullptr;
  auto* words = static_cast<std::atomic<uint64_t>*>(memory);
  const bool ours = words[kernel_cache::kMagicWord] == kernel_cache::kMagic &&
                    words[kernel_cache::kVersionWord] == kernel_cache::kVersion &&
                    words[kernel_cache::kPid] == static_cast<uint64_t>(node);
  UniqueFd fuse;
  if (ours) fuse = FuseOf(node, static_cast<int>(words[kernel_cache::kFd]));
  if (fuse.get() < 0) {
    munmap(memory, kernel_cache::kBytes);
    return nullptr;
  }
  return std::make_shared<WatchedMount>(words, std::move(fuse), node, status.st_ino);
}

WatchedMount::~WatchedMount() { munmap(words_, kernel_cache::kBytes); }

bool WatchedMount::HasLost(pid_t node) const {
  if (node != node_) return true;
  // PID (NAME) STATE ..., where NAME may hold anything.
  const std::string status = ReadStart("/proc/" + std::to_string(node) + "/stat");
  const size_t name_end = status.rfind(") ");
  return name_end != std::string::npos && status.compare(name_end + 2, 1, "Z") == 0;
}

bool WatchedMount::IsAt(const std::string& path) const {
  struct stat status{};
  return stat(path.c_str(), &status) == 0 && status.st_ino == file_;
}

void WatchedMount::ForgetNames() const {
  if ((Get(kernel_cache::kCapabilities) & kernel_cache::kIncEpoch) == 0) return;
  Notify(fuse_.get(), kIncEpoch, nullptr, 0);
}

void WatchedMount::ForgetAttributes(uint64_t ino) const {
  ForgetInode(fuse_.get(), ino, kAttributesOnly);
}

void WatchedMount::ForgetData(uint64_t ino) const { ForgetInode(fuse_.get(), ino, kFromTheStart); }

bool WatchedMount::Abort() const { return AbortFuse(fuse_.get()); }

}  // namespace dfs
