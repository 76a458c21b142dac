// What else of a residual block reads memory more than it computes, over (batch, time, channels) with
// a multiple of sixteen channels.

#include <algorithm>
#include <cstdint>

#include "vectors.h"

namespace {

// A max-pool over windows of stride, of which the first begins left zeros before the signal. A row
// of its outputs is row values after the one before it.
struct Pool {
  int64_t batch, samples, channels, stride, left, outputs, row;
};

// activated = swish(signal); with a gradient by it, that becomes one by the signal, in place.
template <class T>
void swish(int64_t count, const T* signal, T* grad, T* activated, int threads) {
  const int64_t vectors = count / WIDTH;
#pragma omp parallel for num_threads(threads)
  for (int64_t i = 0; i < vectors; ++i) {
    const vec x = load(signal + i * WIDTH), sigma = sigmoid<exact<T>>(x);
    store(activated + i * WIDTH, mul(x, sigma));
    if (grad) store(grad + i * WIDTH, mul(load(grad + i * WIDTH), swish_slope(x, sigma)));
  }
}

// Sums over time of one * other and of one, (batch, channels) each.
template <class T>
void sums_over_time(int64_t batch, int64_t samples, int64_t channels, const T* one, const T* other,
                    float* products, float* sums, int threads) {
  // Vectors side by side, whose sums stay in registers.
  constexpr int64_t MOST = REGISTERS / (4 * REGISTERS_OF_VECTOR);
  const int64_t parts = (channels + MOST * WIDTH - 1) / (MOST * WIDTH);
#pragma omp parallel for num_threads(threads)
  for (int64_t task = 0; task < batch * parts; ++task) {
    const int64_t b = task / parts, first = task % parts * MOST * WIDTH;
    const int64_t vectors = std::min(MOST, (channels - first) / WIDTH);
    vec product[MOST], sum[MOST];
    for (int v = 0; v < MOST; ++v) product[v] = sum[v] = zero();
    for (int64_t t = 0; t < samples; ++t) {
      const int64_t at = (b * samples + t) * channels + first;
#pragma GCC unroll 8
      for (int64_t v = 0; v < MOST; ++v) {
        if (v >= vectors) break;
        const vec x = load(one + at + v * WIDTH);
        product[v] = fmadd(x, load(other + at + v * WIDTH), product[v]);
        sum[v] = add(sum[v], x);
      }
    }
    for (int64_t v = 0; v < vectors; ++v) {
      store(products + b * channels + first + v * WIDTH, product[v]);
      store(sums + b * channels + first + v * WIDTH, sum[v]);
    }
  }
}

// out = (branch + bias) * scale, to whose channels from the first on the max-pooled signal is added.
// There may be no bias; scale is (batch, row); out may be branch.
template <class T>
void add_shortcut(const Pool& s, int64_t first, const T* signal, const T* branch, const float* bias,
                  const float* scale, T* out, int threads) {
#pragma omp parallel for num_threads(threads)
  for (int64_t task = 0; task < s.batch * s.outputs; ++task) {
    const int64_t b = task / s.outputs, start = task % s.outputs * s.stride - s.left;
    const T* from = signal + b * s.samples * s.channels;
    T* to = out + task * s.row;
    const auto scaled = [&](int64_t c) {
      vec v = load(branch + task * s.row + c);
      if (bias) v = add(v, load(bias + c));
      return mul(v, load(scale + b * s.row + c));
    };
    const auto pooled = [&](int64_t c) {
      vec largest = zero();
      for (int64_t p = 0; p < s.stride; ++p) {
        const int64_t t = start + p;
        const vec x =
            t >= 0 && t < s.samples ? load(from + t * s.channels + c) : zero();
        largest = p ? max(largest, x) : x;
      }
      return largest;
    };
    if (s.channels == s.row) {
      for (int64_t c = 0; c < s.row; c += WIDTH) store(to + c, add(scaled(c), pooled(c)));
      continue;
    }
    for (int64_t c = 0; c < s.row; c += WIDTH) store(to + c, scaled(c));
    for (int64_t c = 0; c < s.channels; c += WIDTH)
      store(to + first + c, add(load(to + first + c), pooled(c)));
  }
}

// Adds to total the gradient of a max-pool of signal: that of an output goes to the first of its
// largest samples.
template <class T>
void pool_backward(const Pool& s, const T* grad, const T* signal, T* total, int threads) {
#pragma omp parallel for num_threads(threads)
  for (int64_t task = 0; task < s.batch * s.outputs; ++task) {
    const int64_t b = task / s.outputs, first = task % s.outputs * s.stride - s.left;
    const T* from = signal + b * s.samples * s.channels;
    T* to = total + b * s.samples * s.channels;
    for (int64_t c = 0; c < s.channels; c += WIDTH) {
      vec largest = zero();
      vec place = zero();  // of the largest, within the window
      for (int64_t p = 0; p < s.stride; ++p) {
        const int64_t t = first + p;
        const vec x =
            t >= 0 && t < s.samples ? load(from + t * s.channels + c) : zero();
        const mask here = p ? larger(x, largest) : everywhere();
        largest = where(here, x, largest);
        place = where(here, all(p), place);
      }
      const vec g = load(grad + task * s.row + c);
      for (int64_t p = 0; p < s.stride; ++p) {
        const int64_t t = first + p;
        if (t < 0 || t >= s.samples) continue;
        const mask here = equal(place, all(p));
        const vec x = load(to + t * s.channels + c);
        store(to + t * s.channels + c, where(here, add(x, g), x));
      }
    }
  }
}

}  // namespace

#define FOR_TYPE(NAME, TYPE)                                                                     \
  extern "C" void swish_##NAME(int64_t count, const TYPE* signal, TYPE* grad, TYPE* activated,    \
                               int threads) {                                                    \
    swish(count, signal, grad, activated, threads);                                              \
  }                                                                                              \
  extern "C" void sums_over_time_##NAME(int64_t batch, int64_t samples, int64_t channels,        \
                                        const TYPE* one, const TYPE* other, float* products,     \
                                        float* sums, int threads) {                              \
    sums_over_time(batch, samples, channels, one, other, products, sums, threads);               \
  }                                                                                              \
  extern "C" void add_shortcut_##NAME(const Pool* s, int64_t first, const TYPE* signal,          \
                                      const TYPE* branch, const float* bias, const float* scale, \
                                      TYPE* out, int threads) {                                  \
    add_shortcut(*s, first, signal, branch, bias, scale, out, threads);                          \
  }                                                                                              \
  extern "C" void pool_backward_##NAME(const Pool* s, const TYPE* grad, const TYPE* signal,      \
                                       TYPE* total, int threads) {                               \
    pool_backward(*s, grad, signal, total, threads);                                             \
  }

FOR_TYPE(float32, float)
#ifdef HAS_BFLOAT16
FOR_TYPE(bfloat16, bf16)
#endif
