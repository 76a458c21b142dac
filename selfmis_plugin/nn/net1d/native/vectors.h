// Sixteen channels at a time, in float32 and, where the processor has it, bfloat16.

#pragma once

#include <immintrin.h>

#include <cstdint>
#include <type_traits>

namespace {

constexpr int WIDTH = 16;  // channels of a vector of float32

struct bf16 {
  uint16_t bits;
};

inline __m512 load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, __m512 v) { _mm512_storeu_ps(p, v); }

template <class T>
constexpr bool exact = std::is_same<T, float>::value;

// 1 / (1 + exp(-x)), to float32's precision or to well below bfloat16's.
template <bool EXACT>
inline __m512 sigmoid(__m512 x) {
  const __m512 one = _mm512_set1_ps(1.f);
  // Beyond 87 the reciprocal would leave the normal numbers.
  __m512 y = _mm512_max_ps(_mm512_sub_ps(_mm512_setzero_ps(), x), _mm512_set1_ps(-87.f));
  y = _mm512_min_ps(y, _mm512_set1_ps(87.f));
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(y, _mm512_set1_ps(1.44269504f)), 0);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693145751953125f), y);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(1.42860677e-6f), r);
  __m512 e = _mm512_set1_ps(1.f / 24);
  if (EXACT) {
    e = _mm512_fmadd_ps(_mm512_set1_ps(1.f / 720), r, _mm512_set1_ps(1.f / 120));
    e = _mm512_fmadd_ps(_mm512_fmadd_ps(_mm512_set1_ps(1.f / 5040), _mm512_mul_ps(r, r), e), r,
                        _mm512_set1_ps(1.f / 24));
  }
  e = _mm512_fmadd_ps(e, r, _mm512_set1_ps(1.f / 6));
  e = _mm512_fmadd_ps(e, r, _mm512_set1_ps(.5f));
  e = _mm512_fmadd_ps(e, r, one);
  e = _mm512_fmadd_ps(e, r, one);
  const __m512 sum = _mm512_add_ps(one, _mm512_scalef_ps(e, n));
  __m512 out = _mm512_rcp14_ps(sum);
  if (EXACT)
    out = _mm512_fmadd_ps(_mm512_fnmadd_ps(sum, out, one), out, out);
  return out;
}

// Derivative of the swish x * s, s being the sigmoid of x.
inline __m512 swish_slope(__m512 x, __m512 s) {
  return _mm512_fmadd_ps(_mm512_mul_ps(x, s), _mm512_sub_ps(_mm512_set1_ps(1.f), s), s);
}

#if defined(__AMX_BF16__) && defined(__AVX512BF16__)

#define HAS_BFLOAT16

inline __m512 load(const bf16* p) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

inline void store(bf16* p, __m512 v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), (__m256i)_mm512_cvtneps_pbh(v));
}

#endif

template <class T>
inline __m512 rounded(__m512 v) {
  if (exact<T>) return v;
  alignas(64) T copy[WIDTH];
  store(copy, v);
  return load(copy);
}

}  // namespace
