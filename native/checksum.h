// Adds crc32c to the addon.
#ifndef DFS_NATIVE_CHECKSUM_H_
#define DFS_NATIVE_CHECKSUM_H_

#include <napi.h>

namespace dfs {

void InitChecksum(Napi::Env env, Napi::Object exports);

}  // namespace dfs

#endif  // DFS_NATIVE_CHECKSUM_H_
