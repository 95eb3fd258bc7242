// The kernels that a chain of array expressions would make slow.  `NumpyBackend` is the reference for each of them.
//
// One thread computes whole elements of the result, and reads whatever it needs for them: nothing is written by two
// threads, so no atomic addition makes the sums depend on chance.  Except in `conv2d`, sums run in the reference's order.
// Images are (samples, height, width, channels), contiguous.  Windows stand at (row, column) = (oh, ow) * stride - (top, left).

template <typename T>
__global__ void softmax_cross_entropy(long long samples, int classes, const T *logits, const long long *labels, T *loss,
                                      T *gradient) {
    long long n = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (n >= samples) return;
    const T *z = logits + n * classes;
    T *g = gradient + n * classes;
    long long y = labels[n];
    if (y < 0 || y >= classes) {  // nobody looks at labels on the device: a NaN shows, foreign memory would not
        loss[n] = T(nan(""));
        for (int j = 0; j < classes; ++j) g[j] = loss[n];
        return;
    }

    T largest = z[0];
    for (int j = 1; j < classes; ++j)
        if (z[j] > largest) largest = z[j];

    T others = 0;  // the sum of exp(z_j) over j != y
    for (int j = 0; j < classes; ++j) {
        g[j] = exp(z[j] - largest);
        if (j != y) others += g[j];
    }
    T e_y = g[y];
    loss[n] = log1p(others + (e_y - 1)) - (z[y] - largest);
    for (int j = 0; j < classes; ++j) g[j] = (j == y ? -others : g[j]) / (others + e_y);
}

// The patches of one line of windows make one block, whose threads go through them together: a division takes a GPU as
// long as ten additions, and this way there are two for an element instead of five.
template <typename T>
__global__ void im2col(long long lines, int height, int width, int channels, int out_height, int out_width,
                       int kernel_height, int kernel_width, int stride_down, int stride_across, int top, int left,
                       const T *x, T *columns) {
    long long line = blockIdx.x;
    if (line >= lines) return;
    long long n = line / out_height;
    int oh = (int)(line - n * out_height);
    int row_size = kernel_width * channels;  // one row of a patch lies in the image as it does in the result
    int patch_size = kernel_height * row_size;
    const T *sample = x + n * height * width * channels;
    T *patches = columns + line * out_width * patch_size;
    for (int k = threadIdx.x; k < out_width * patch_size; k += blockDim.x) {
        int ow = k / patch_size, inside = k - ow * patch_size;
        int i = inside / row_size, along = inside - i * row_size;
        int row = oh * stride_down - top + i;
        int place = (ow * stride_across - left) * channels + along;
        bool visible = row >= 0 && row < height && place >= 0 && place < width * channels;
        patches[k] = visible ? sample[row * width * channels + place] : T(0);
    }
}

template <typename T>
__global__ void col2im(long long size, int height, int width, int channels, int out_height, int out_width,
                       int kernel_height, int kernel_width, int stride_down, int stride_across, int top, int left,
                       const T *columns, T *x) {
    long long k = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (k >= size) return;
    int sample_size = height * width * channels;
    long long n = k / sample_size;
    int place = (int)(k - n * sample_size);
    int pixel = place / channels, c = place - pixel * channels;
    int row = pixel / width, down = row + top, across = pixel - row * width + left;

    // The windows that see this pixel, from the one that sees it at the top left of its patch: the reference's order.
    int last_down = min(down / stride_down, out_height - 1), last_across = min(across / stride_across, out_width - 1);
    const T *sample = columns + n * out_height * out_width * kernel_height * kernel_width * channels;
    T sum = 0;
    for (int oh = last_down; oh >= 0 && down - oh * stride_down < kernel_height; --oh)
        for (int ow = last_across; ow >= 0 && across - ow * stride_across < kernel_width; --ow) {
            int i = down - oh * stride_down, j = across - ow * stride_across;
            sum += sample[(((oh * out_width + ow) * kernel_height + i) * kernel_width + j) * channels + c];
        }
    x[k] = sum;
}

// Four neighbouring filters: a GPU reads 16 bytes as fast as 4.
template <typename T>
struct alignas(4 * sizeof(T)) Four {
    T at[4];
};

constexpr int ROWS = 4;   // outputs of one column that a thread computes: they share the weights, and most of the pixels
constexpr int CHUNK = 8;  // channels that a block holds at a time

// A convolution of stride 1 that does not write the patches to memory.  A block computes some rows of outputs of one
// sample: it copies the pixels below them and the weights into shared memory, CHUNK channels at a time, and each of its
// threads computes ROWS outputs, one below the other, of four filters.  See `conv2d_block` in cupy_backend.py.
template <typename T>
__global__ void conv2d(int rows, int height, int width, int channels, int out_height, int out_width, int filters,
                       int kernel_height, int kernel_width, int top, int left, const T *x, const T *weight,
                       const T *bias, T *y) {
    extern __shared__ __align__(32) unsigned char shared[];
    int blocks = (out_height + rows - 1) / rows, first = (int)(blockIdx.x % blocks) * rows;
    long long n = blockIdx.x / blocks;
    int fours = (filters + 3) / 4, places = kernel_height * kernel_width;
    int tile_height = rows + kernel_height - 1, tile_width = out_width + kernel_width - 1;
    int plane = (tile_height * tile_width + 31) / 32 * 32 + 4;  // channels begin in different banks of the memory
    Four<T> *weights = (Four<T> *)shared;                       // (channel, place, four)
    T *tile = (T *)(weights + min(channels, CHUNK) * places * fours);  // (channel, row, column)

    int threads_of_four = out_width * (rows / ROWS);
    int four = threadIdx.x / threads_of_four, inside = threadIdx.x - four * threads_of_four;
    int row = inside / out_width * ROWS, column = inside % out_width;
    Four<T> sum[ROWS] = {};
    for (int before = 0; before < channels; before += CHUNK) {
        int chunk = min(CHUNK, channels - before);
        __syncthreads();  // the last chunk has been read
        for (int k = threadIdx.x; k < places * 4 * fours; k += blockDim.x) {
            int place = k / (4 * fours), f = k - place * 4 * fours;
            for (int c = 0; c < chunk; ++c)
                weights[(c * places + place) * fours + f / 4].at[f % 4] =
                    f < filters ? weight[(place * channels + before + c) * filters + f] : T(0);
        }
        for (int k = threadIdx.x; k < tile_width * CHUNK; k += blockDim.x) {
            int c = k % CHUNK, across = k / CHUNK - left;
            if (c >= chunk) continue;
            for (int r = 0; r < tile_height; ++r) {
                int down = first - top + r;
                bool visible = down >= 0 && down < height && across >= 0 && across < width;
                tile[c * plane + r * tile_width + k / CHUNK] =
                    visible ? x[((n * height + down) * width + across) * channels + before + c] : T(0);
            }
        }
        __syncthreads();  // all of this chunk is there
        for (int c = 0; c < chunk; ++c)
            for (int j = 0; j < kernel_width; ++j) {
                const T *pixels = tile + c * plane + row * tile_width + column + j;
                T seen[ROWS];  // what each output sees at (i, j): one step down, each sees what its neighbour saw
                for (int r = 1; r < ROWS; ++r) seen[r] = pixels[(r - 1) * tile_width];
                for (int i = 0; i < kernel_height; ++i) {
                    for (int r = 1; r < ROWS; ++r) seen[r - 1] = seen[r];
                    seen[ROWS - 1] = pixels[(i + ROWS - 1) * tile_width];
                    Four<T> w = weights[(c * places + i * kernel_width + j) * fours + four];
                    for (int r = 0; r < ROWS; ++r)
                        for (int f = 0; f < 4; ++f) sum[r].at[f] += seen[r] * w.at[f];
                }
            }
    }
    for (int r = 0; r < ROWS; ++r)
        for (int f = 0; f < 4; ++f)
            if (first + row + r < out_height && 4 * four + f < filters)
                y[((n * out_height + first + row + r) * out_width + column) * filters + 4 * four + f] =
                    sum[r].at[f] + bias[4 * four + f];
}

template <typename T>
__global__ void max_pool(long long size, int height, int width, int channels, int out_height, int out_width,
                         int window_height, int window_width, int stride_down, int stride_across, int top, int left,
                         T border, const T *x, T *y, int *winner) {
    long long k = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (k >= size) return;
    int sample_size = out_height * out_width * channels;
    long long n = k / sample_size;
    int place_in_sample = (int)(k - n * sample_size);
    int window = place_in_sample / channels, c = place_in_sample - window * channels;
    int oh = window / out_width, ow = window - oh * out_width;

    T best = border;
    int place = 0;
    for (int i = 0; i < window_height; ++i)
        for (int j = 0; j < window_width; ++j) {
            int row = oh * stride_down - top + i, column = ow * stride_across - left + j;
            bool inside = row >= 0 && row < height && column >= 0 && column < width;
            T candidate = inside ? x[((n * height + row) * width + column) * channels + c] : border;
            if (candidate > best) place = i * window_width + j;
            // A NaN is greater than nothing, but must not be lost; once it is in, nothing is greater than it.
            if (candidate > best || candidate != candidate) best = candidate;
        }
    y[k] = best;
    winner[k] = place;
}

template <typename T>
__global__ void max_pool_gradient(long long size, int height, int width, int channels, int out_height, int out_width,
                                  int window_height, int window_width, int stride_down, int stride_across, int top,
                                  int left, const T *grad_y, const int *winner, T *grad_x) {
    long long k = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (k >= size) return;
    int sample_size = height * width * channels;
    long long n = k / sample_size;
    int place = (int)(k - n * sample_size);
    int pixel = place / channels, c = place - pixel * channels;
    int row = pixel / width, down = row + top, across = pixel - row * width + left;

    int last_down = min(down / stride_down, out_height - 1), last_across = min(across / stride_across, out_width - 1);
    T sum = 0;
    for (int oh = last_down; oh >= 0 && down - oh * stride_down < window_height; --oh)
        for (int ow = last_across; ow >= 0 && across - ow * stride_across < window_width; --ow) {
            int i = down - oh * stride_down, j = across - ow * stride_across;
            long long window = ((n * out_height + oh) * out_width + ow) * channels + c;
            sum += grad_y[window] * (winner[window] == i * window_width + j);
        }
    grad_x[k] = sum;
}
