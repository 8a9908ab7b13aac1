// Adds bootMs and realtime to the addon.
#ifndef DFS_NATIVE_CLOCKS_H_
#define DFS_NATIVE_CLOCKS_H_

#include <napi.h>

namespace dfs {

void InitClocks(Napi::Env env, Napi::Object exports);

}  // namespace dfs

#endif  // DFS_NATIVE_CLOCKS_H_
