// Sixteen channels at a time: one register with AVX-512, two with AVX2. In float32 and, where the
// processor has it, bfloat16.

#pragma once

#include <immintrin.h>

#include <cstdint>
#include <type_traits>

namespace {

constexpr int WIDTH = 16;  // channels of a vector of float32

struct bf16 {
  uint16_t bits;
};

template <class T>
constexpr bool exact = std::is_same<T, float>::value;

#ifdef __AVX512F__

constexpr int REGISTERS = 32, REGISTERS_OF_VECTOR = 1;

using vec = __m512;

inline vec load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, vec v) { _mm512_storeu_ps(p, v); }
inline vec zero() { return _mm512_setzero_ps(); }
inline vec all(float x) { return _mm512_set1_ps(x); }
inline vec add(vec a, vec b) { return _mm512_add_ps(a, b); }
inline vec sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
inline vec mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
inline vec fmadd(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
inline vec fnmadd(vec a, vec b, vec c) { return _mm512_fnmadd_ps(a, b, c); }
inline vec max(vec a, vec b) { return _mm512_max_ps(a, b); }
inline vec min(vec a, vec b) { return _mm512_min_ps(a, b); }
inline vec rounded_to_int(vec a) { return _mm512_roundscale_ps(a, 0); }
// a * 2^n, n a whole number.
inline vec scaled_by_power(vec a, vec n) { return _mm512_scalef_ps(a, n); }
// 1 / a, to float32's precision or to well below bfloat16's.
template <bool EXACT>
inline vec reciprocal(vec a) {
  const vec near = _mm512_rcp14_ps(a);
  return EXACT ? fmadd(fnmadd(a, near, all(1.f)), near, near) : near;
}

// Which of sixteen channels something is true of.
using mask = __mmask16;
inline mask larger(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
inline mask equal(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
inline mask everywhere() { return 0xffff; }
inline vec where(mask m, vec yes, vec no) { return _mm512_mask_mov_ps(no, m, yes); }

#else

constexpr int REGISTERS = 16, REGISTERS_OF_VECTOR = 2;

struct vec {
  __m256 low, high;
};

inline vec load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void store(float* p, vec v) {
  _mm256_storeu_ps(p, v.low);
  _mm256_storeu_ps(p + 8, v.high);
}
inline vec all(float x) {
  const __m256 both = _mm256_set1_ps(x);
  return {both, both};
}
inline vec zero() { return all(0.f); }

#define OF_HALVES(NAME, WHAT) \
  inline vec NAME(vec a, vec b) { return {WHAT(a.low, b.low), WHAT(a.high, b.high)}; }
OF_HALVES(add, _mm256_add_ps)
OF_HALVES(sub, _mm256_sub_ps)
OF_HALVES(mul, _mm256_mul_ps)
OF_HALVES(max, _mm256_max_ps)
OF_HALVES(min, _mm256_min_ps)
#undef OF_HALVES

inline vec fmadd(vec a, vec b, vec c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
inline vec fnmadd(vec a, vec b, vec c) {
  return {_mm256_fnmadd_ps(a.low, b.low, c.low), _mm256_fnmadd_ps(a.high, b.high, c.high)};
}
inline vec rounded_to_int(vec a) {
  constexpr int nearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
  return {_mm256_round_ps(a.low, nearest), _mm256_round_ps(a.high, nearest)};
}
inline __m256 scaled_by_power(__m256 a, __m256 n) {
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_mul_ps(a, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
}
// a * 2^n, n a whole number between -126 and 127.
inline vec scaled_by_power(vec a, vec n) {
  return {scaled_by_power(a.low, n.low), scaled_by_power(a.high, n.high)};
}
template <bool>
inline vec reciprocal(vec a) {
  const __m256 one = _mm256_set1_ps(1.f);
  return {_mm256_div_ps(one, a.low), _mm256_div_ps(one, a.high)};
}

// Which of sixteen channels something is true of.
using mask = vec;
inline mask larger(vec a, vec b) {
  return {_mm256_cmp_ps(a.low, b.low, _CMP_GT_OQ), _mm256_cmp_ps(a.high, b.high, _CMP_GT_OQ)};
}
inline mask equal(vec a, vec b) {
  return {_mm256_cmp_ps(a.low, b.low, _CMP_EQ_OQ), _mm256_cmp_ps(a.high, b.high, _CMP_EQ_OQ)};
}
inline mask everywhere() {
  const __m256 set = _mm256_castsi256_ps(_mm256_set1_epi32(-1));
  return {set, set};
}
inline vec where(mask m, vec yes, vec no) {
  return {_mm256_blendv_ps(no.low, yes.low, m.low), _mm256_blendv_ps(no.high, yes.high, m.high)};
}

#endif

// 1 / (1 + exp(-x)), to float32's precision or to well below bfloat16's.
template <bool EXACT>
inline vec sigmoid(vec x) {
  // Beyond 87 the reciprocal would leave the normal numbers.
  vec y = max(sub(zero(), x), all(-87.f));
  y = min(y, all(87.f));
  const vec n = rounded_to_int(mul(y, all(1.44269504f)));
  vec r = fnmadd(n, all(0.693145751953125f), y);
  r = fnmadd(n, all(1.42860677e-6f), r);
  vec e = all(1.f / 24);
  if (EXACT) {
    e = fmadd(all(1.f / 720), r, all(1.f / 120));
    e = fmadd(fmadd(all(1.f / 5040), mul(r, r), e), r, all(1.f / 24));
  }
  e = fmadd(e, r, all(1.f / 6));
  e = fmadd(e, r, all(.5f));
  e = fmadd(e, r, all(1.f));
  e = fmadd(e, r, all(1.f));
  return reciprocal<EXACT>(add(all(1.f), scaled_by_power(e, n)));
}

// Derivative of the swish x * s, s being the sigmoid of x.
inline vec swish_slope(vec x, vec s) { return fmadd(mul(x, s), sub(all(1.f), s), s); }

#if defined(__AMX_BF16__) && defined(__AVX512BF16__)

#define HAS_BFLOAT16

inline vec load(const bf16* p) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

inline void store(bf16* p, vec v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), (__m256i)_mm512_cvtneps_pbh(v));
}

#endif

template <class T>
inline vec rounded(vec v) {
  if (exact<T>) return v;
  alignas(64) T copy[WIDTH];
  store(copy, v);
  return load(copy);
}

}  // namespace
