// What every binding shares: errors in the shape Node's own system errors have, and arguments that
// are checked completely before the kernel sees them.
//
// A getter that returns nullopt has thrown a TypeError (wrong type) or RangeError (wrong value)
// into the JavaScript caller; the binding returns at once. Main thread of the environment only.
#ifndef DFS_NATIVE_NAPI_UTIL_H_
#define DFS_NATIVE_NAPI_UTIL_H_

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace dfs {

// Number.MAX_SAFE_INTEGER; also below the largest off_t.
inline constexpr int64_t kMaxSafeInteger = (int64_t{1} << 53) - 1;

// "ENOSPC" for 28.
std::string ErrnoName(int error);

// Error with errno (positive), code and syscall. `detail` replaces the system's text.
Napi::Error SystemError(Napi::Env env, int error, const char* syscall,
                        std::string_view detail = {});

void ThrowErrno(Napi::Env env, int error, const char* syscall);

struct IntegerRange {
  int64_t min;
  int64_t max;
};

inline constexpr IntegerRange kOffsetRange{0, kMaxSafeInteger};
inline constexpr IntegerRange kInt32Range{0, INT32_MAX};
inline constexpr IntegerRange kUint32Range{0, UINT32_MAX};

std::optional<int64_t> ToInteger(Napi::Value value, const char* name, IntegerRange range);

// Strings with a NUL would be cut short by the kernel's interfaces, so they are refused.
std::optional<std::string> ToText(Napi::Value value, const char* name);

// All of a Uint8Array or ArrayBuffer.
std::optional<std::span<std::byte>> ToBytes(Napi::Value value, const char* name);

// `length` bytes from `offset` of a Uint8Array or ArrayBuffer: three arguments from `index` on.
std::optional<std::span<std::byte>> ToByteRange(const Napi::CallbackInfo& info, size_t index);

}  // namespace dfs

#endif  // DFS_NATIVE_NAPI_UTIL_H_
