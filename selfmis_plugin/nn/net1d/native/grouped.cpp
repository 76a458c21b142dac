// Grouped convolution of a swish over (batch, time, channels), sixteen channels to a group, and its
// gradients, for processors with AVX-512 or AVX2 and, in bfloat16, AMX.
//
// A piece of one group's signal is copied to where it stays in the first cache, the swish and the
// zero padding on the way; all products with it are then made from there.

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <utility>

#include "vectors.h"

namespace {

constexpr int PIECE = 128;  // outputs made from one copy
constexpr int TOGETHER = 4;  // groups of one task of the backward pass
constexpr int SLACK = 32;   // rows that tiles may read, and throw away, after the last
// Outputs made at once in float32, whose sums stay in registers; so does a row of the weight.
constexpr int UNROLL = REGISTERS == 32 ? 14 : 6;

struct Shape {
  int64_t batch, samples, channels, kernel, stride, left, outputs;
  int64_t groups() const { return channels / WIDTH; }
  int64_t pieces() const { return (outputs + PIECE - 1) / PIECE; }
  // Taps of the convolution that gives the gradient by inputs at one place between two outputs.
  int64_t taps(int64_t place) const {
    return place < kernel ? (kernel - place + stride - 1) / stride : 0;
  }
};

template <class T>
struct Buffer {
  explicit Buffer(int64_t count)
      : memory(static_cast<T*>(std::aligned_alloc(64, (count * sizeof(T) + 127) / 64 * 64))) {
    if (!memory) std::abort();
    std::fill_n(reinterpret_cast<char*>(memory.get()), count * sizeof(T), 0);
  }
  T* get() const { return memory.get(); }
  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  std::unique_ptr<T, Free> memory;
};

// A row of one group, and a hint that the cache line beside it, of the next group, comes next: no
// processor guesses that from rows so far from each other.
template <class T>
inline vec load_row(const T* p) {
  _mm_prefetch(reinterpret_cast<const char*>(p) + 64, _MM_HINT_T0);
  return load(p);
}

// -- float32: products by broadcast

inline void place(float* packed, int64_t tap, int64_t in, int64_t out, float weight) {
  packed[(tap * WIDTH + in) * WIDTH + out] = weight;
}

inline int64_t packed_size(const float*, int64_t taps) { return taps * WIDTH * WIDTH; }

// STRIDE is known to the compiler, or 0.
template <int ROWS, int STRIDE>
void convolve_rows(const float* rows, int64_t any, const float* packed, int64_t taps, float* out) {
  const int64_t stride = STRIDE ? STRIDE : any;
  vec sum[ROWS];
  for (int r = 0; r < ROWS; ++r) sum[r] = zero();
  for (int64_t tap = 0; tap < taps; ++tap)
    for (int in = 0; in < WIDTH; ++in) {
      const vec w = load(packed + (tap * WIDTH + in) * WIDTH);
      const float* at = rows + tap * WIDTH + in;
#pragma GCC unroll 14
      for (int r = 0; r < ROWS; ++r)
        sum[r] = fmadd(all(at[r * stride * WIDTH]), w, sum[r]);
    }
  for (int r = 0; r < ROWS; ++r) store(out + r * WIDTH, sum[r]);
}

template <int STRIDE, int... ROWS>
void convolve_any(const float* rows, int64_t stride, const float* packed, int64_t taps,
                  int64_t count, float* out, std::integer_sequence<int, ROWS...>) {
  using Rows = void (*)(const float*, int64_t, const float*, int64_t, float*);
  static constexpr Rows by_count[] = {convolve_rows<ROWS + 1, STRIDE>...};
  const int64_t times = (count + UNROLL - 1) / UNROLL, each = (count + times - 1) / times;
  for (int64_t r = 0; r < count; r += each)
    by_count[each - 1](rows + r * stride * WIDTH, stride, packed, taps, out + r * WIDTH);
}

// out[r] = sum over taps of rows[r * stride + tap] times the tap's matrix.
void convolve(const float* rows, int64_t stride, const float* packed, int64_t taps, int64_t count,
              float* out) {
  const auto sizes = std::make_integer_sequence<int, UNROLL>();
  if (count <= 0) return;
  if (stride == 1) return convolve_any<1>(rows, 1, packed, taps, count, out, sizes);
  if (stride == 2) return convolve_any<2>(rows, 2, packed, taps, count, out, sizes);
  convolve_any<0>(rows, stride, packed, taps, count, out, sizes);
}

// Products for the gradient of the weight: sums[tap][in][out] over the outputs of a piece.
struct WeightSums32 {
  WeightSums32(const Shape&, float*) {}
  static int64_t size(const Shape& s) { return s.kernel * WIDTH * WIDTH; }
  static int64_t index(int64_t tap, int64_t in, int64_t out) {
    return (tap * WIDTH + in) * WIDTH + out;
  }
  void add(const Shape& s, const float* rows, const float* grads, int64_t count, float* sums) {
    // As many inputs at once as their sums have registers: 16, or 6, 6 and 4.
    constexpr int MOST = REGISTERS == 32 ? WIDTH : UNROLL;
    for (int64_t tap = 0; tap < s.kernel; ++tap)
      for (int in = 0; in < WIDTH; in += MOST) {
        const float* row = rows + tap * WIDTH + in;
        float* at = sums + (tap * WIDTH + in) * WIDTH;
        if (in + MOST <= WIDTH) products<MOST>(s, row, grads, count, at);
        else products<WIDTH % MOST ? WIDTH % MOST : MOST>(s, row, grads, count, at);
      }
  }
  template <int INPUTS>
  static void products(const Shape& s, const float* rows, const float* grads, int64_t count,
                       float* sums) {
    vec sum[INPUTS];
    for (int in = 0; in < INPUTS; ++in) sum[in] = load(sums + in * WIDTH);
    for (int64_t o = 0; o < count; ++o) {
      const vec grad = load(grads + o * WIDTH);
      const float* row = rows + o * s.stride * WIDTH;
#pragma GCC unroll 16
      for (int in = 0; in < INPUTS; ++in) sum[in] = fmadd(all(row[in]), grad, sum[in]);
    }
    for (int in = 0; in < INPUTS; ++in) store(sums + in * WIDTH, sum[in]);
  }
};

struct NoTiles {};

template <class T>
struct Parts {
  using Tiles = NoTiles;
  using WeightSums = WeightSums32;
};

#ifdef HAS_BFLOAT16

// -- bfloat16: products of tiles

constexpr int64_t TILE = 16 * 32;  // values of a tile: pairs of inputs by outputs

inline void place(bf16* packed, int64_t tap, int64_t in, int64_t out, bf16 weight) {
  const int64_t at = tap % 2 * WIDTH + in;
  packed[tap / 2 * TILE + at / 2 * 32 + out * 2 + at % 2] = weight;
}

inline int64_t packed_size(const bf16*, int64_t taps) { return (taps + 1) / 2 * TILE; }

struct Tiles {
  Tiles() {
    alignas(64) struct {
      uint8_t palette, start, reserved[14];
      uint16_t bytes[16];
      uint8_t rows[16];
    } config = {};
    config.palette = 1;
    for (int i = 0; i < 8; ++i) config.bytes[i] = 64, config.rows[i] = 16;
    _tile_loadconfig(&config);
  }
  ~Tiles() { _tile_release(); }
};

void convolve(const bf16* rows, int64_t stride, const bf16* packed, int64_t taps, int64_t count,
              float* out) {
  const int64_t row_bytes = stride * WIDTH * sizeof(bf16), tile = 16 * stride * WIDTH;
  for (int64_t r = 0; r < count; r += 64) {
    const int64_t tiles = std::min<int64_t>(4, (count - r + 15) / 16);
    const bf16* at = rows + r * stride * WIDTH;
    float* to = out + r * WIDTH;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t tap = 0; tap < taps; tap += 2, at += 2 * WIDTH) {
      _tile_loadd(7, packed + tap / 2 * TILE, 64);
      _tile_loadd(4, at, row_bytes);
      _tile_dpbf16ps(0, 4, 7);
      if (tiles > 1) {
        _tile_loadd(5, at + tile, row_bytes);
        _tile_dpbf16ps(1, 5, 7);
      }
      if (tiles > 2) {
        _tile_loadd(6, at + 2 * tile, row_bytes);
        _tile_dpbf16ps(2, 6, 7);
      }
      if (tiles > 3) {
        _tile_loadd(4, at + 3 * tile, row_bytes);
        _tile_dpbf16ps(3, 4, 7);
      }
    }
    _tile_stored(0, to, 64);
    if (tiles > 1) _tile_stored(1, to + 256, 64);
    if (tiles > 2) _tile_stored(2, to + 512, 64);
    if (tiles > 3) _tile_stored(3, to + 768, 64);
  }
}

void transpose(const __m256i (&in)[16], bf16* out, int64_t row) {
  __m256i a[16], b[16];
  for (int i = 0; i < 8; ++i) {
    a[i] = _mm256_unpacklo_epi16(in[2 * i], in[2 * i + 1]);
    a[i + 8] = _mm256_unpackhi_epi16(in[2 * i], in[2 * i + 1]);
  }
  for (int half = 0; half < 16; half += 8)
    for (int i = 0; i < 4; ++i) {
      b[half + i] = _mm256_unpacklo_epi32(a[half + 2 * i], a[half + 2 * i + 1]);
      b[half + i + 4] = _mm256_unpackhi_epi32(a[half + 2 * i], a[half + 2 * i + 1]);
    }
  for (int quarter = 0; quarter < 16; quarter += 4)
    for (int i = 0; i < 2; ++i) {
      a[quarter + i] = _mm256_unpacklo_epi64(b[quarter + 2 * i], b[quarter + 2 * i + 1]);
      a[quarter + i + 2] = _mm256_unpackhi_epi64(b[quarter + 2 * i], b[quarter + 2 * i + 1]);
    }
  for (int i = 0; i < 8; ++i) {
    auto* low = reinterpret_cast<__m256i*>(out + i * row);
    auto* high = reinterpret_cast<__m256i*>(out + (i + 8) * row);
    _mm256_store_si256(low, _mm256_permute2x128_si256(a[2 * i], a[2 * i + 1], 0x20));
    _mm256_store_si256(high, _mm256_permute2x128_si256(a[2 * i], a[2 * i + 1], 0x31));
  }
}

// As above; sums[tap][out][in], four taps at once.
struct WeightSums16 {
  Buffer<bf16> pairs, grads;  // rows o and o + stride side by side; gradients, time last
  WeightSums16(const Shape& s, bf16*)
      : pairs((((PIECE + SLACK) * s.stride + s.kernel + 4) * 2) * WIDTH), grads(WIDTH * PIECE) {}
  static int64_t size(const Shape& s) { return (s.kernel + 3) / 4 * 4 * WIDTH * WIDTH; }
  static int64_t index(int64_t tap, int64_t in, int64_t out) {
    return (tap * WIDTH + out) * WIDTH + in;
  }
  void add(const Shape& s, const bf16* rows, const bf16* grad, int64_t count, float* sums) {
    const int64_t steps = (count + 31) / 32;
    for (int64_t block = 0; block < 2 * steps; ++block) {
      __m256i in[16];
      for (int64_t i = 0; i < 16; ++i) {
        const int64_t o = block * 16 + i;
        in[i] = o < count ? _mm256_load_si256((const __m256i*)(grad + o * WIDTH))
                          : _mm256_setzero_si256();
      }
      transpose(in, grads.get() + block * 16, PIECE);
    }
    const int64_t last = (32 * steps - 2) * s.stride + s.kernel;
    for (int64_t m = 0; m < last; ++m) {
      const auto* row = reinterpret_cast<const __m256i*>(rows + m * WIDTH);
      const __m512i low = _mm512_cvtepu16_epi32(_mm256_load_si256(row));
      const __m512i high = _mm512_cvtepu16_epi32(_mm256_load_si256(row + s.stride));
      _mm512_store_si512(pairs.get() + m * 2 * WIDTH,
                         _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
    }
    const int64_t row_bytes = 2 * s.stride * 2 * WIDTH * sizeof(bf16);
    for (int64_t tap = 0; tap < s.kernel; tap += 4, sums += 4 * 256) {
      _tile_loadd(0, sums, 64);
      _tile_loadd(1, sums + 256, 64);
      _tile_loadd(2, sums + 512, 64);
      _tile_loadd(3, sums + 768, 64);
      for (int64_t step = 0; step < steps; ++step) {
        const bf16* at = pairs.get() + (step * 32 * s.stride + tap) * 2 * WIDTH;
        _tile_loadd(4, grads.get() + step * 32, PIECE * sizeof(bf16));
        _tile_loadd(5, at, row_bytes);
        _tile_dpbf16ps(0, 4, 5);
        _tile_loadd(6, at + 2 * WIDTH, row_bytes);
        _tile_dpbf16ps(1, 4, 6);
        _tile_loadd(7, at + 4 * WIDTH, row_bytes);
        _tile_dpbf16ps(2, 4, 7);
        _tile_loadd(5, at + 6 * WIDTH, row_bytes);
        _tile_dpbf16ps(3, 4, 5);
      }
      _tile_stored(0, sums, 64);
      _tile_stored(1, sums + 256, 64);
      _tile_stored(2, sums + 512, 64);
      _tile_stored(3, sums + 768, 64);
    }
  }
};

template <>
struct Parts<bf16> {
  using Tiles = ::Tiles;
  using WeightSums = WeightSums16;
};

#endif

// -- both types

template <class T>
void forward(const Shape& s, const T* signal, const float* signal_bias, const T* weight,
             const float* bias, T* out, T* activated, int threads) {
  const int64_t size = packed_size(weight, s.kernel), groups = s.groups(), pieces = s.pieces();
  Buffer<T> packed(groups * size);
#pragma omp parallel num_threads(threads)
  {
    typename Parts<T>::Tiles tiles;
    Buffer<T> rows(((PIECE + SLACK) * s.stride + s.kernel) * WIDTH);
    Buffer<float> sums((PIECE + SLACK) * WIDTH);
#pragma omp for
    for (int64_t g = 0; g < groups; ++g)
      for (int64_t o = 0; o < WIDTH; ++o)
        for (int64_t i = 0; i < WIDTH; ++i)
          for (int64_t tap = 0; tap < s.kernel; ++tap)
            place(packed.get() + g * size, tap, i, o,
                  weight[((g * WIDTH + o) * WIDTH + i) * s.kernel + tap]);
#pragma omp for
    for (int64_t task = 0; task < s.batch * pieces; ++task) {
      const int64_t b = task / pieces, begin = task % pieces * PIECE;
      const int64_t count = std::min<int64_t>(PIECE, s.outputs - begin);
      const int64_t first = begin * s.stride - s.left, needed = (count - 1) * s.stride + s.kernel;
      for (int64_t g = 0; g < groups; ++g) {
        const T* from = signal + b * s.samples * s.channels + g * WIDTH;
        const vec before = signal_bias ? load(signal_bias + g * WIDTH) : zero();
        for (int64_t r = 0; r < needed; ++r) {
          const int64_t t = first + r;
          vec x = zero();
          if (t >= 0 && t < s.samples) {
            x = add(load_row(from + t * s.channels), before);
            x = mul(x, sigmoid<exact<T>>(x));
          }
          store(rows.get() + r * WIDTH, x);
        }
        // Tiles take taps in pairs: the one beside an odd last tap has a weight of zero, and must not
        // meet what an earlier record left here, which may be NaN.
        store(rows.get() + needed * WIDTH, zero());
        convolve(rows.get(), s.stride, packed.get() + g * size, s.kernel, count, sums.get());
        const vec after = load(bias + g * WIDTH);
        for (int64_t r = 0; r < count; ++r) {
          const int64_t at = (b * s.outputs + begin + r) * s.channels + g * WIDTH;
          const vec v = rounded<T>(add(load(sums.get() + r * WIDTH), after));
          if (out) store(out + at, v);
          store(activated + at, mul(v, sigmoid<exact<T>>(v)));
        }
      }
    }
  }
}

template <class T>
void backward(const Shape& s, const T* grad, const T* signal, const float* signal_bias,
              const T* weight, T* grad_signal, float* grad_weight, float* grad_bias,
              float* grad_signal_sum, int threads) {
  using WeightSums = typename Parts<T>::WeightSums;
  const int64_t groups = s.groups(), pieces = s.pieces(), most = s.taps(0);
  const int64_t place_size = packed_size(weight, most), size = s.stride * place_size;
  // As many shares of the batch as keep several threads busy, whatever the number of threads is: the
  // result does not depend on it.
  const int64_t blocks = (groups + TOGETHER - 1) / TOGETHER;
  const int64_t shares = std::min(s.batch, (31 + blocks) / blocks);
  const int64_t sums_size = WeightSums::size(s);
  Buffer<T> packed(groups * size);
  Buffer<float> sums(shares * groups * sums_size), biases(shares * groups * 2 * WIDTH);
#pragma omp parallel num_threads(threads)
  {
    typename Parts<T>::Tiles tiles;
    WeightSums weight_sums(s, static_cast<T*>(nullptr));
    Buffer<T> rows(((PIECE + SLACK) * s.stride + s.kernel) * WIDTH);
    Buffer<T> grads((PIECE + SLACK + 2 * s.kernel) * WIDTH);
    Buffer<float> slopes(PIECE * s.stride * WIDTH), out((PIECE + SLACK) * WIDTH);
#pragma omp for
    for (int64_t g = 0; g < groups; ++g)
      for (int64_t o = 0; o < WIDTH; ++o)
        for (int64_t i = 0; i < WIDTH; ++i)
          for (int64_t tap = 0; tap < s.kernel; ++tap) {
            const int64_t at = tap % s.stride;  // the later the tap, the earlier the gradient
            place(packed.get() + g * size + at * place_size, s.taps(at) - 1 - tap / s.stride, o, i,
                  weight[((g * WIDTH + o) * WIDTH + i) * s.kernel + tap]);
          }
#pragma omp for schedule(dynamic)
    for (int64_t task = 0; task < shares * blocks; ++task) {
      const int64_t share = task / blocks, block = task % blocks;
      const int64_t last_group = std::min(groups, (block + 1) * TOGETHER);
      for (int64_t b = s.batch * share / shares; b < s.batch * (share + 1) / shares; ++b)
        for (int64_t piece = 0; piece < pieces; ++piece)
          for (int64_t g = block * TOGETHER; g < last_group; ++g) {
            const int64_t begin = piece * PIECE, count = std::min<int64_t>(PIECE, s.outputs - begin);
            const int64_t input = begin * s.stride, end = (begin + count) * s.stride;
            const int64_t first = input - s.left, needed = (count - 1) * s.stride + s.kernel;
            // The swish of the samples that the outputs see, the slope at those above them.
            const T* from = signal + b * s.samples * s.channels + g * WIDTH;
            const vec before = signal_bias ? load(signal_bias + g * WIDTH) : zero();
            const int64_t stop = std::max(first + needed, end);
            for (int64_t t = first; t < stop; ++t) {
              vec x = zero(), swish = x;
              if (t >= 0 && t < s.samples) {
                x = add(load_row(from + t * s.channels), before);
                const vec sigma = sigmoid<exact<T>>(x);
                swish = mul(x, sigma);
                if (t >= input && t < end)
                  store(slopes.get() + (t - input) * WIDTH, swish_slope(x, sigma));
              }
              if (t < first + needed) store(rows.get() + (t - first) * WIDTH, swish);
            }
            // The gradients that those samples get.
            float* bias = biases.get() + (share * groups + g) * 2 * WIDTH;
            vec sum = load(bias), signal_sum = load(bias + WIDTH);
            const int64_t early = (input + s.left) / s.stride - (most - 1);
            const int64_t late = (end - 1 + s.left) / s.stride;
            const T* grad_from = grad + b * s.outputs * s.channels + g * WIDTH;
            for (int64_t o = early; o <= late; ++o) {
              vec v = zero();
              if (o >= 0 && o < s.outputs) v = load_row(grad_from + o * s.channels);
              if (o >= begin && o < begin + count) sum = add(sum, v);
              store(grads.get() + (o - early) * WIDTH, v);
            }
            weight_sums.add(s, rows.get(), grads.get() + (begin - early) * WIDTH, count,
                            sums.get() + (share * groups + g) * sums_size);
            // Samples at the same place between two outputs have the same taps.
            for (int64_t at = 0; at < s.stride; ++at) {
              const int64_t taps = s.taps(at);
              const int64_t o = (input + s.left - at + s.stride - 1) / s.stride;
              const int64_t t = o * s.stride + at - s.left;
              const int64_t limit = std::min(end, s.samples);
              const int64_t here = t < limit ? (limit - t + s.stride - 1) / s.stride : 0;
              if (taps)
                convolve(grads.get() + (o - (taps - 1) - early) * WIDTH, 1,
                         packed.get() + g * size + at * place_size, taps, here, out.get());
              for (int64_t r = 0; r < here; ++r) {
                const int64_t sample = t + r * s.stride;
                const vec v = taps ? load(out.get() + r * WIDTH) : zero();
                const vec slope = load(slopes.get() + (sample - input) * WIDTH);
                const vec product = mul(v, slope);
                signal_sum = add(signal_sum, product);
                store(grad_signal + (b * s.samples + sample) * s.channels + g * WIDTH, product);
              }
            }
            store(bias, sum);
            store(bias + WIDTH, signal_sum);
          }
    }
    Buffer<float> total(sums_size);
#pragma omp for
    for (int64_t g = 0; g < groups; ++g) {
      // Share by share, as they lie in memory.
      std::fill_n(total.get(), sums_size, 0.f);
      for (int64_t share = 0; share < shares; ++share) {
        const float* part = sums.get() + (share * groups + g) * sums_size;
        for (int64_t i = 0; i < sums_size; i += WIDTH)
          store(total.get() + i, add(load(total.get() + i), load(part + i)));
      }
      for (int64_t o = 0; o < WIDTH; ++o) {
        const int64_t channel = g * WIDTH + o;
        grad_bias[channel] = grad_signal_sum[channel] = 0;
        for (int64_t share = 0; share < shares; ++share) {
          const float* bias = biases.get() + (share * groups + g) * 2 * WIDTH;
          grad_bias[channel] += bias[o];
          grad_signal_sum[channel] += bias[WIDTH + o];
        }
        for (int64_t i = 0; i < WIDTH; ++i)
          for (int64_t tap = 0; tap < s.kernel; ++tap)
            grad_weight[(channel * WIDTH + i) * s.kernel + tap] =
                total.get()[WeightSums::index(tap, i, o)];
      }
    }
  }
}

}  // namespace

#define FOR_TYPE(NAME, TYPE)                                                                     \
  extern "C" void forward_##NAME(const Shape* s, const TYPE* signal, const float* signal_bias,   \
                                 const TYPE* weight, const float* bias, TYPE* out,               \
                                 TYPE* activated, int threads) {                                 \
    forward(*s, signal, signal_bias, weight, bias, out, activated, threads);                     \
  }                                                                                              \
  extern "C" void backward_##NAME(const Shape* s, const TYPE* grad, const TYPE* signal,          \
                                  const float* signal_bias, const TYPE* weight,                  \
                                  TYPE* grad_signal, float* grad_weight, float* grad_bias,       \
                                  float* grad_signal_sum, int threads) {                         \
    backward(*s, grad, signal, signal_bias, weight, grad_signal, grad_weight, grad_bias,         \
             grad_signal_sum, threads);                                                          \
  }

FOR_TYPE(float32, float)

#ifdef HAS_BFLOAT16
FOR_TYPE(bfloat16, bf16)

// Linux lends a process the tiles when it asks for them.
extern "C" int allow_tiles() {
  constexpr long request = 0x1023, tile_data = 18;
  return syscall(SYS_arch_prctl, request, tile_data) == 0;
}
#else
extern "C" int allow_tiles() { return 0; }
#endif
