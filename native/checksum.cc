#include "checksum.h"

#include "crc32c.h"
#include "napi_util.h"

namespace dfs {
namespace {

// (seed, data, offset, length, portable?): the last one, for tests, asks for the tables.
Napi::Value Checksum(const Napi::CallbackInfo& info) {
  const auto seed = ToInteger(info[0], "seed", kUint32Range);
  if (!seed) return {};
  const auto data = ToByteRange(info, 1);
  if (!data) return {};
  const bool portable = info[4].ToBoolean();
  const auto crc = portable ? Crc32cPortable : Crc32c;
  return Napi::Number::New(info.Env(), crc(static_cast<uint32_t>(*seed), *data));
}

}  // namespace

void InitChecksum(Napi::Env env, Napi::Object exports) {
  exports.Set("crc32c", Napi::Function::New<Checksum>(env, "crc32c"));
}

}  // namespace dfs
