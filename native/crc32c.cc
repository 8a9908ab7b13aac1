#include "crc32c.h"

#include <array>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace dfs {
namespace {

static_assert(std::endian::native == std::endian::little, "words are loaded as little endian");

constexpr uint32_t kPolynomial = 0x82f63b78;

using ByteTable = std::array<uint32_t, 256>;

constexpr uint32_t ShiftBit(uint32_t crc) { return (crc >> 1) ^ ((crc & 1) ? kPolynomial : 0); }

// kSlices[n][b]: byte b followed by n zero bytes.
constexpr std::array<ByteTable, 8> MakeSlices() {
  std::array<ByteTable, 8> slices{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = ShiftBit(crc);
    slices[0][byte] = crc;
  }
  for (size_t slice = 1; slice < slices.size(); ++slice) {
    for (uint32_t byte = 0; byte < 256; ++byte) {
      const uint32_t before = slices[slice - 1][byte];
      slices[slice][byte] = (before >> 8) ^ slices[0][before & 0xff];
    }
  }
  return slices;
}

constexpr std::array<ByteTable, 8> kSlices = MakeSlices();

uint64_t LoadWord(const std::byte* from) {
  uint64_t word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

#if defined(__x86_64__)

// Moving a checksum over a run of zero bytes is linear over its 32 bits: a matrix, which squares
// to double the run, unfolded into one table per byte of the checksum.
using Matrix = std::array<uint32_t, 32>;
using ZeroTables = std::array<ByteTable, 4>;

constexpr uint32_t Multiply(const Matrix& matrix, uint32_t vector) {
  uint32_t sum = 0;
  for (size_t bit = 0; bit < matrix.size(); ++bit) {
    if ((vector >> bit) & 1) sum ^= matrix[bit];
  }
  return sum;
}

// `bytes` is a power of two.
constexpr ZeroTables MakeZeroTables(size_t bytes) {
  Matrix matrix{};
  for (size_t bit = 0; bit < matrix.size(); ++bit) matrix[bit] = ShiftBit(uint32_t{1} << bit);
  for (size_t bits = 1; bits < bytes * 8; bits *= 2) {
    const Matrix half = matrix;
    for (size_t bit = 0; bit < matrix.size(); ++bit) matrix[bit] = Multiply(half, half[bit]);
  }
  ZeroTables tables{};
  for (uint32_t index = 0; index < tables.size(); ++index) {
    for (uint32_t byte = 0; byte < 256; ++byte) {
      tables[index][byte] = Multiply(matrix, byte << (8 * index));
    }
  }
  return tables;
}

template <size_t kBytes>
inline constexpr ZeroTables kZeroTables = MakeZeroTables(kBytes);

template <size_t kBytes>
uint32_t AppendZeros(uint32_t crc) {
  const ZeroTables& tables = kZeroTables<kBytes>;
  return tables[0][crc & 0xff] ^ tables[1][(crc >> 8) & 0xff] ^ tables[2][(crc >> 16) & 0xff] ^
         tables[3][crc >> 24];
}

// The instruction has a latency of three cycles and a throughput of one: three independent lanes
// of kLane bytes keep it busy. Consumes the front of `data` in steps of three lanes.
template <size_t kLane>
__attribute__((target("sse4.2"))) uint32_t Lanes(uint32_t crc, std::span<const std::byte>& data) {
  while (data.size() >= 3 * kLane) {
    const std::byte* at = data.data();
    uint64_t first = crc;
    uint64_t second = 0;
    uint64_t third = 0;
    for (size_t offset = 0; offset < kLane; offset += 8) {
      first = _mm_crc32_u64(first, LoadWord(at + offset));
      second = _mm_crc32_u64(second, LoadWord(at + kLane + offset));
      third = _mm_crc32_u64(third, LoadWord(at + 2 * kLane + offset));
    }
    const uint32_t both = AppendZeros<kLane>(static_cast<uint32_t>(first)) ^
                          static_cast<uint32_t>(second);
    crc = AppendZeros<kLane>(both) ^ static_cast<uint32_t>(third);
    data = data.subspan(3 * kLane);
  }
  return crc;
}

__attribute__((target("sse4.2"))) uint32_t Crc32cSse42(uint32_t seed,
                                                       std::span<const std::byte> data) {
  uint32_t crc = ~seed;
  crc = Lanes<2048>(crc, data);
  crc = Lanes<256>(crc, data);
  for (; data.size() >= 8; data = data.subspan(8)) {
    crc = static_cast<uint32_t>(_mm_crc32_u64(crc, LoadWord(data.data())));
  }
  for (const std::byte byte : data) crc = _mm_crc32_u8(crc, std::to_integer<uint8_t>(byte));
  return ~crc;
}

#endif  // __x86_64__

}  // namespace

uint32_t Crc32cPortable(uint32_t seed, std::span<const std::byte> data) {
  uint32_t crc = ~seed;
  for (; data.size() >= 8; data = data.subspan(8)) {
    const uint64_t word = LoadWord(data.data()) ^ crc;
    crc = kSlices[7][word & 0xff] ^ kSlices[6][(word >> 8) & 0xff] ^
          kSlices[5][(word >> 16) & 0xff] ^ kSlices[4][(word >> 24) & 0xff] ^
          kSlices[3][(word >> 32) & 0xff] ^ kSlices[2][(word >> 40) & 0xff] ^
          kSlices[1][(word >> 48) & 0xff] ^ kSlices[0][word >> 56];
  }
  for (const std::byte byte : data) {
    crc = (crc >> 8) ^ kSlices[0][(crc ^ std::to_integer<uint32_t>(byte)) & 0xff];
  }
  return ~crc;
}

uint32_t Crc32c(uint32_t seed, std::span<const std::byte> data) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return Crc32cSse42(seed, data);
#endif
  return Crc32cPortable(seed, data);
}

}  // namespace dfs
