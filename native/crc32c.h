// CRC32C (Castagnoli, reflected polynomial 0x82f63b78), pure: no Node-API in here.
#ifndef DFS_NATIVE_CRC32C_H_
#define DFS_NATIVE_CRC32C_H_

#include <cstddef>
#include <cstdint>
#include <span>

namespace dfs {

// The checksum of what `seed` is the checksum of (0: of nothing), followed by `data`. Uses the
// processor's instruction where there is one.
uint32_t Crc32c(uint32_t seed, std::span<const std::byte> data);

// The same result from tables alone.
uint32_t Crc32cPortable(uint32_t seed, std::span<const std::byte> data);

}  // namespace dfs

#endif  // DFS_NATIVE_CRC32C_H_
