/* Convolution of integers of few bits, one bit of weights and of activations at a time.
 *
 * A product of unsigned integers is a sum of products of their bits (Galen, section 3; Umuroglu and
 * Jahre 2017): sum_k u_k v_k = sum_i sum_j 2^(i + j) popcount(bit i of u & bit j of v). What is
 * computed is exact; cost is proportional to bits of weights times bits of activations.
 *
 * Words hold one bit of 64 input channels. A lane is one output channel; eight stand together.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__AVX512VPOPCNTDQ__) || defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#define LANES 8
#define WORD 64
#define MOST_BITS 8
#define MOST_PIXELS 8

typedef uint64_t lanes __attribute__((vector_size(8 * LANES)));

typedef struct {
    int64_t in_channels, out_channels;
    int64_t height, width;                 /* of the input */
    int64_t out_height, out_width;
    int64_t kernel_height, kernel_width;
    int64_t stride_y, stride_x;
    int64_t dilation_y, dilation_x;
    int64_t pad_top, pad_left, pad_bottom, pad_right;
    int64_t weight_bits, activation_bits;
    /* Numbers between neighbouring channels and pixels, of the input and of the output. */
    int64_t in_channel_step, in_pixel_step;
    int64_t out_channel_step, out_pixel_step;
} Layer;

typedef struct {
    const uint64_t *planes;                /* (blocks, taps, words, weight bits, LANES) */
    const float *scale;                    /* of a whole number of the sum, by output channel */
    const float *offset;                   /* of stored weights from real ones, in steps */
    const float *bias;
} Weights;

typedef struct {
    int64_t height, width, words;
    uint64_t *planes;                      /* (activation bits, words, height, width) */
    int32_t *sums;                         /* of all channels, (height, width) */
    int32_t *window_sums;                  /* of what an output reads, (out height, out width) */
} Packed;

static inline lanes count_bits(lanes x) {
#if defined(__AVX512VPOPCNTDQ__)
    return (lanes)_mm512_popcnt_epi64((__m512i)x);
#elif defined(__AVX2__)
    const __m256i counts = _mm256_setr_epi8(
        0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
        0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i low = _mm256_set1_epi8(0x0f);
    __m256i halves[2];
    memcpy(halves, &x, sizeof x);
    for (int half = 0; half < 2; half++) {
        __m256i lower = _mm256_and_si256(halves[half], low);
        __m256i upper = _mm256_and_si256(_mm256_srli_epi16(halves[half], 4), low);
        __m256i bytes = _mm256_add_epi8(
            _mm256_shuffle_epi8(counts, lower), _mm256_shuffle_epi8(counts, upper));
        halves[half] = _mm256_sad_epu8(bytes, _mm256_setzero_si256());
    }
    memcpy(&x, halves, sizeof x);
    return x;
#elif defined(__ARM_NEON)
    uint64x2_t pairs[LANES / 2];
    memcpy(pairs, &x, sizeof x);
    for (int pair = 0; pair < LANES / 2; pair++) {
        uint8x16_t bytes = vcntq_u8(vreinterpretq_u8_u64(pairs[pair]));
        pairs[pair] = vpaddlq_u32(vpaddlq_u16(vpaddlq_u8(bytes)));
    }
    memcpy(&x, pairs, sizeof x);
    return x;
#else
    for (int lane = 0; lane < LANES; lane++)
        x[lane] = (uint64_t)__builtin_popcountll(x[lane]);
    return x;
#endif
}

/* The nearest whole numbers to x / scale, to even where two are equally near, from 0 on. */
static void quantize_row(
    const float *x, int64_t step, int64_t count, float inverse, float zero, float largest,
    int32_t *codes)
{
    /* Added to a number below 2^22, it leaves no room for what comes after the point. */
    const float rounder = 12582912.0f;
    const float low = -zero;
    const float high = largest - zero;
    for (int64_t pixel = 0; pixel < count; pixel++) {
        float value = x[pixel * step] * inverse;
        value = value < low ? low : value;
        value = value > high ? high : value;
        value = (value + rounder) - rounder;
        codes[pixel] = (int32_t)(value + zero);
    }
}

static void add_channel(
    const Layer *layer, const int32_t *codes, int64_t y, int64_t x, int64_t count, int64_t channel,
    Packed *packed)
{
    const int64_t size = packed->height * packed->width;
    const int64_t start = y * packed->width + x;
    const int shift = (int)(channel % WORD);
    for (int64_t bit = 0; bit < layer->activation_bits; bit++) {
        uint64_t *plane = packed->planes + (bit * packed->words + channel / WORD) * size + start;
        for (int64_t pixel = 0; pixel < count; pixel++)
            plane[pixel] |= (uint64_t)((codes[pixel] >> bit) & 1) << shift;
    }
    int32_t *sums = packed->sums + start;
    for (int64_t pixel = 0; pixel < count; pixel++)
        sums[pixel] += codes[pixel];
}

static void sum_windows(const Layer *layer, Packed *packed) {
    for (int64_t y = 0; y < layer->out_height; y++)
        for (int64_t x = 0; x < layer->out_width; x++) {
            int32_t sum = 0;
            for (int64_t ky = 0; ky < layer->kernel_height; ky++)
                for (int64_t kx = 0; kx < layer->kernel_width; kx++) {
                    int64_t row = y * layer->stride_y + ky * layer->dilation_y;
                    int64_t column = x * layer->stride_x + kx * layer->dilation_x;
                    sum += packed->sums[row * packed->width + column];
                }
            packed->window_sums[y * layer->out_width + x] = sum;
        }
}

static int allocate(const Layer *layer, Packed *packed) {
    packed->height = layer->height + layer->pad_top + layer->pad_bottom;
    packed->width = layer->width + layer->pad_left + layer->pad_right;
    packed->words = (layer->in_channels + WORD - 1) / WORD;
    const size_t size = (size_t)(packed->height * packed->width);
    const size_t outputs = (size_t)(layer->out_height * layer->out_width);
    const size_t planes = (size_t)(layer->activation_bits * packed->words);
    packed->planes = malloc(planes * size * sizeof *packed->planes);
    packed->sums = malloc(size * sizeof *packed->sums);
    packed->window_sums = malloc(outputs * sizeof *packed->window_sums);
    return packed->planes && packed->sums && packed->window_sums;
}

static void release(Packed *packed) {
    free(packed->planes);
    free(packed->sums);
    free(packed->window_sums);
}

/* Round one image and put its bits into words; what is padded is zero, whose code is `zero`. */
static int pack(const Layer *layer, const float *image, float scale, float zero, Packed *packed) {
    const size_t size = (size_t)(packed->height * packed->width);
    const size_t planes = (size_t)(layer->activation_bits * packed->words);
    memset(packed->planes, 0, planes * size * sizeof *packed->planes);
    memset(packed->sums, 0, size * sizeof *packed->sums);

    int32_t *codes = malloc((size_t)packed->width * sizeof *codes);
    if (!codes)
        return 0;
    const float largest = (float)((1 << layer->activation_bits) - 1);
    const float inverse = 1.0f / scale;
    for (int64_t channel = 0; channel < layer->in_channels; channel++)
        for (int64_t y = 0; y < packed->height; y++) {
            int64_t row = y - layer->pad_top;
            for (int64_t x = 0; x < packed->width; x++)
                codes[x] = (int32_t)zero;
            if (row >= 0 && row < layer->height) {
                const float *start = image + channel * layer->in_channel_step
                    + row * layer->width * layer->in_pixel_step;
                quantize_row(start, layer->in_pixel_step, layer->width, inverse, zero, largest,
                             codes + layer->pad_left);
            }
            add_channel(layer, codes, y, 0, packed->width, channel, packed);
        }
    free(codes);
    sum_windows(layer, packed);
    return 1;
}

/* `pixels` neighbouring outputs of the eight channels of a block; both numbers are constants. */
static inline __attribute__((always_inline)) void convolve_pixels(
    const Layer *layer, const Packed *packed, const Weights *weights, int64_t block, int64_t y,
    int64_t x, const int bits, const int pixels, float *output)
{
    const int64_t size = packed->height * packed->width;
    const int64_t taps = layer->kernel_height * layer->kernel_width;
    const int64_t words = packed->words;
    const lanes *start = (const lanes *)weights->planes + block * taps * words * bits;
    lanes total[MOST_PIXELS] = {0};

    for (int64_t bit = 0; bit < layer->activation_bits; bit++) {
        const uint64_t *plane = packed->planes + bit * words * size;
        const lanes *weight = start;
        lanes sums[MOST_PIXELS][MOST_BITS] = {{{0}}};
        for (int64_t ky = 0; ky < layer->kernel_height; ky++)
            for (int64_t kx = 0; kx < layer->kernel_width; kx++) {
                const int64_t row = y * layer->stride_y + ky * layer->dilation_y;
                const int64_t column = x * layer->stride_x + kx * layer->dilation_x;
                const uint64_t *read = plane + row * packed->width + column;
                for (int64_t word = 0; word < words; word++, read += size, weight += bits) {
#pragma GCC unroll 8
                    for (int pixel = 0; pixel < pixels; pixel++) {
                        const lanes activation = (lanes){0} + read[pixel * layer->stride_x];
#pragma GCC unroll 8
                        for (int j = 0; j < bits; j++)
                            sums[pixel][j] += count_bits(activation & weight[j]);
                    }
                }
            }
#pragma GCC unroll 8
        for (int pixel = 0; pixel < pixels; pixel++)
#pragma GCC unroll 8
            for (int j = 0; j < bits; j++)
                total[pixel] += sums[pixel][j] << (uint64_t)(j + bit);
    }

    const int32_t *windows = packed->window_sums + y * layer->out_width + x;
    const int64_t first = block * LANES;
    const int64_t left = layer->out_channels - first;
    for (int lane = 0; lane < LANES && lane < left; lane++) {
        const int64_t channel = first + lane;
        float *target = output + channel * layer->out_channel_step
            + (y * layer->out_width + x) * layer->out_pixel_step;
        for (int pixel = 0; pixel < pixels; pixel++) {
            const float sum = (float)(int64_t)total[pixel][lane];
            const float exact = sum - weights->offset[channel] * (float)windows[pixel];
            target[pixel * layer->out_pixel_step] =
                exact * weights->scale[channel] + weights->bias[channel];
        }
    }
}

static inline __attribute__((always_inline)) void convolve_block(
    const Layer *layer, const Packed *packed, const Weights *weights, int64_t block,
    const int bits, const int pixels, float *output)
{
    for (int64_t y = 0; y < layer->out_height; y++) {
        int64_t x = 0;
        for (; x + pixels <= layer->out_width; x += pixels)
            convolve_pixels(layer, packed, weights, block, y, x, bits, pixels, output);
        for (; x < layer->out_width; x++)
            convolve_pixels(layer, packed, weights, block, y, x, bits, 1, output);
    }
}

/* The eight output channels of one block, of a packed image. */
static void convolve(
    const Layer *layer, const Packed *packed, const Weights *weights, int64_t block, float *output)
{
    /* As many sums as there are registers for. */
    switch (layer->weight_bits) {
    case 1: convolve_block(layer, packed, weights, block, 1, 8, output); break;
    case 2: convolve_block(layer, packed, weights, block, 2, 8, output); break;
    case 3: convolve_block(layer, packed, weights, block, 3, 4, output); break;
    case 4: convolve_block(layer, packed, weights, block, 4, 4, output); break;
    case 5: convolve_block(layer, packed, weights, block, 5, 4, output); break;
    case 6: convolve_block(layer, packed, weights, block, 6, 4, output); break;
    case 7: convolve_block(layer, packed, weights, block, 7, 2, output); break;
    default: convolve_block(layer, packed, weights, block, 8, 2, output);
    }
}
