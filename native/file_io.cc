#include "file_io.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "napi_util.h"

namespace dfs {
namespace {

// Repeats a call for as long as a signal interrupts it.
template <typename Call>
auto Uninterrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

constexpr IntegerRange kMapBytesRange{1, 64 << 20};

// What pread and pwrite are called with: (fd, data, offset, length, position).
struct Transfer {
  int fd;
  std::span<std::byte> bytes;
  off_t position;
};

std::optional<Transfer> ToTransfer(const Napi::CallbackInfo& info) {
  const auto fd = ToInteger(info[0], "fd", kInt32Range);
  if (!fd) return {};
  const auto bytes = ToByteRange(info, 1);
  if (!bytes) return {};
  const auto position = ToInteger(info[4], "position", kOffsetRange);
  if (!position) return {};
  return Transfer{static_cast<int>(*fd), *bytes, static_cast<off_t>(*position)};
}

Napi::Value Pread(const Napi::CallbackInfo& info) {
  const auto transfer = ToTransfer(info);
  if (!transfer) return {};
  const auto [fd, bytes, position] = *transfer;
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count =
        pread(fd, bytes.data() + done, bytes.size() - done, position + static_cast<off_t>(done));
    if (count == 0) break;
    if (count > 0) {
      done += static_cast<size_t>(count);
    } else if (errno != EINTR) {
      ThrowErrno(info.Env(), errno, "pread");
      return {};
    }
  }
  return Napi::Number::New(info.Env(), static_cast<double>(done));
}

Napi::Value Pwrite(const Napi::CallbackInfo& info) {
  const auto transfer = ToTransfer(info);
  if (!transfer) return {};
  const auto [fd, bytes, position] = *transfer;
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count =
        pwrite(fd, bytes.data() + done, bytes.size() - done, position + static_cast<off_t>(done));
    if (count > 0) {
      done += static_cast<size_t>(count);
      continue;
    }
    const int error = count == 0 ? EIO : errno;
    if (error == EINTR) continue;
    if (error == ENOSPC && done > 0) break;
    ThrowErrno(info.Env(), error, "pwrite");
    return {};
  }
  return Napi::Number::New(info.Env(), static_cast<double>(done));
}

// (fd, mode, offset, length)
void Fallocate(const Napi::CallbackInfo& info) {
  const auto fd = ToInteger(info[0], "fd", kInt32Range);
  if (!fd) return;
  const auto mode = ToInteger(info[1], "mode", kInt32Range);
  if (!mode) return;
  const auto offset = ToInteger(info[2], "offset", kOffsetRange);
  if (!offset) return;
  const auto length = ToInteger(info[3], "length", kOffsetRange);
  if (!length) return;
  const int result = Uninterrupted([&] {
    return fallocate(static_cast<int>(*fd), static_cast<int>(*mode), *offset, *length);
  });
  if (result != 0) ThrowErrno(info.Env(), errno, "fallocate");
}

Napi::Value Fstat(const Napi::CallbackInfo& info) {
  const auto fd = ToInteger(info[0], "fd", kInt32Range);
  if (!fd) return {};
  struct stat status {};
  if (fstat(static_cast<int>(*fd), &status) != 0) {
    ThrowErrno(info.Env(), errno, "fstat");
    return {};
  }
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("size", Napi::Number::New(info.Env(), static_cast<double>(status.st_size)));
  result.Set("blocks", Napi::Number::New(info.Env(), static_cast<double>(status.st_blocks)));
  return result;
}

// (fd, exclusive)
Napi::Value Flock(const Napi::CallbackInfo& info) {
  const auto fd = ToInteger(info[0], "fd", kInt32Range);
  if (!fd) return {};
  if (!info[1].IsBoolean()) {
    Napi::TypeError::New(info.Env(), "exclusive must be a boolean").ThrowAsJavaScriptException();
    return {};
  }
  const int mode = info[1].As<Napi::Boolean>() ? LOCK_EX : LOCK_SH;
  const int result =
      Uninterrupted([&] { return flock(static_cast<int>(*fd), mode | LOCK_NB); });
  if (result != 0 && errno != EWOULDBLOCK) {
    ThrowErrno(info.Env(), errno, "flock");
    return {};
  }
  return Napi::Boolean::New(info.Env(), result == 0);
}

// (fd, bytes): a shared mapping of the whole file
Napi::Value MapShared(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto fd = ToInteger(info[0], "fd", kInt32Range);
  if (!fd) return {};
  const auto bytes = ToInteger(info[1], "bytes", kMapBytesRange);
  if (!bytes) return {};
  const auto length = static_cast<size_t>(*bytes);
  void* memory =
      mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, static_cast<int>(*fd), 0);
  if (memory == MAP_FAILED) {
    ThrowErrno(env, errno, "mmap");
    return {};
  }
  return Napi::ArrayBuffer::New(env, memory, length,
                                [length](Napi::Env, void* mapped) { munmap(mapped, length); });
}

}  // namespace

void InitFileIo(Napi::Env env, Napi::Object exports) {
  exports.Set("pread", Napi::Function::New<Pread>(env, "pread"));
  exports.Set("pwrite", Napi::Function::New<Pwrite>(env, "pwrite"));
  exports.Set("fallocate", Napi::Function::New<Fallocate>(env, "fallocate"));
  exports.Set("fstat", Napi::Function::New<Fstat>(env, "fstat"));
  exports.Set("mapShared", Napi::Function::New<MapShared>(env, "mapShared"));
  exports.Set("flock", Napi::Function::New<Flock>(env, "flock"));
}

}  // namespace dfs
