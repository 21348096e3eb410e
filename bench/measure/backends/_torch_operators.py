"""The operators that a PyTorch model file may call: those that compute with tensors, and no others.

Names without overload (``add`` stands for ``aten::add.Tensor`` and ``aten::add_.Scalar``). Left out is
what reads or writes files (``from_file``, ``save``), gives a tensor another memory or reads past its
own (``set_``, ``resize``, ``_reshape_alias``, ``_nested_view_from_buffer``, the unchecked sparse
constructors), or changes the process (``manual_seed``, threads, profilers, streams). Mutation in place
is not the danger: without those, a tensor's memory is the program's own.
"""

from __future__ import annotations


def listed(names: str) -> frozenset[str]:
    """The words of a text as a set."""
    return frozenset(names.split())


ATEN = (
    # Core ATen (https://docs.pytorch.org/docs/stable/torch.compiler_ir.html) and the composite
    # operators that torch.export and TorchScript leave as they are.
    # element by element
    listed("""
    abs absolute acos acosh add addcdiv addcmul angle arccos arccosh arcsin arcsinh arctan arctan2
    arctanh asin asinh atan atan2 atanh bitwise_and bitwise_left_shift bitwise_not bitwise_or
    bitwise_right_shift bitwise_xor ceil celu clamp clamp_max clamp_min clip conj conj_physical
    copysign cos cosh deg2rad digamma div divide elu eq erf erfc erfinv exp exp2 expm1 fix
    float_power floor floor_divide fmax fmin fmod frac frexp ge gelu glu greater greater_equal gt
    hardshrink hardsigmoid hardswish hardtanh heaviside hypot i0 igamma igammac imag isclose
    isfinite isin isinf isnan isneginf isposinf isreal ldexp le leaky_relu lerp less less_equal
    lgamma log log10 log1p log2 log_sigmoid log_sigmoid_forward logaddexp logaddexp2 logical_and
    logical_not logical_or logical_xor logit lt masked_fill maximum minimum mish mul multiply mvlgamma
    nan_to_num ne neg negative nextafter not_equal polar polygamma positive pow prelu _prelu_kernel
    rad2deg real reciprocal relu relu6 remainder round rrelu rrelu_with_noise rsqrt rsub selu sgn
    sigmoid sign signbit silu sin sinc sinh softplus softshrink special_digamma special_entr
    special_erf special_erfc special_erfcx special_erfinv special_exp2 special_expit special_expm1
    special_gammainc special_gammaincc special_gammaln special_i0 special_i0e special_i1 special_i1e
    special_log1p special_log_ndtr special_logit special_multigammaln special_ndtr special_ndtri
    special_polygamma special_psi special_round special_sinc special_xlog1py special_xlogy
    special_zeta sqrt square sub subtract tan tanh threshold true_divide trunc where xlogy
    __and__ __iand__ __ilshift__ __ior__ __irshift__ __ixor__ __lshift__ __or__ __rshift__ __xor__
    """)
    # over dimensions
    | listed("""
    all allclose amax amin aminmax _aminmax any argmax argmin argsort bincount count_nonzero cummax
    cummin cumprod cumsum cumulative_trapezoid diff dist equal frobenius_norm histc kthvalue
    _log_softmax log_softmax logcumsumexp _logcumsumexp logsumexp max mean median min mode msort
    nanmean nanmedian nansum native_norm norm norm_except_dim nuclear_norm pairwise_distance prod
    quantile nanquantile renorm searchsorted bucketize segment_reduce _safe_softmax _softmax softmax
    _masked_softmax sort special_log_softmax special_logsumexp special_softmax std std_mean sum
    sum_to_size topk trapezoid trapz unique_consecutive unique_dim unique_dim_consecutive _unique
    _unique2 var var_mean cov corrcoef cosine_similarity cdist _cdist_forward pdist _pdist_forward
    _euclidean_dist gradient hash_tensor _is_all_true _is_any_true is_nonzero
    """)
    # linear algebra
    | listed("""
    addbmm addmm _addmm_activation addmv addr baddbmm bilinear bmm block_diag cartesian_prod
    chain_matmul cholesky cholesky_inverse cholesky_solve combinations cross det dot einsum geqrf ger
    inner inverse kron linalg_cholesky linalg_cholesky_ex linalg_cond linalg_cross linalg_det
    linalg_diagonal linalg_eig linalg_eigh linalg_eigvals linalg_eigvalsh linalg_householder_product
    linalg_inv linalg_inv_ex linalg_ldl_factor linalg_ldl_factor_ex linalg_ldl_solve linalg_lstsq
    linalg_lu linalg_lu_factor linalg_lu_factor_ex linalg_lu_solve linalg_matmul linalg_matrix_exp
    linalg_matrix_norm linalg_matrix_power linalg_matrix_rank linalg_multi_dot linalg_norm
    linalg_pinv linalg_qr linalg_slogdet linalg_solve linalg_solve_ex linalg_solve_triangular
    linalg_svd linalg_svdvals linalg_tensorinv linalg_tensorsolve linalg_vander linalg_vecdot
    linalg_vector_norm _linalg_det _linalg_eigh _linalg_eigvals _linalg_slogdet _linalg_solve_ex
    _linalg_svd linear logdet lu_solve lu_unpack matmul matrix_exp matrix_power mm mv orgqr ormqr
    outer pinverse qr slogdet svd tensordot trace triangular_solve _trilinear vander vdot _int_mm
    _grouped_mm _weight_int8pack_mm _weight_int4pack_mm_for_cpu
    """)
    # layers
    | listed("""
    _adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d
    adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d
    affine_grid_generator alpha_dropout avg_pool1d avg_pool2d avg_pool3d batch_norm
    _batch_norm_impl_index _batch_norm_no_update _batch_norm_with_update
    _batch_norm_with_update_functional channel_shuffle col2im _conv_depthwise2d _convolution
    _convolution_mode conv1d conv2d conv3d conv_depthwise3d conv_tbc conv_transpose1d
    conv_transpose2d conv_transpose3d convolution dropout embedding embedding_bag _embedding_bag
    _embedding_bag_forward_only feature_alpha_dropout feature_dropout fractional_max_pool2d
    fractional_max_pool3d grid_sampler grid_sampler_2d grid_sampler_3d _grid_sampler_2d_cpu_fallback
    group_norm gru gru_cell im2col instance_norm layer_norm lstm lstm_cell _thnn_fused_lstm_cell
    _thnn_fused_gru_cell max_pool1d max_pool1d_with_indices max_pool2d max_pool2d_with_indices
    max_pool3d max_pool3d_with_indices max_unpool2d max_unpool3d native_batch_norm
    _native_batch_norm_legit _native_batch_norm_legit_functional
    _native_batch_norm_legit_no_training native_channel_shuffle native_dropout native_group_norm
    native_layer_norm _native_multi_head_attention _transformer_encoder_layer_fwd
    pixel_shuffle pixel_unshuffle rms_norm _fused_rms_norm rnn_relu rnn_relu_cell rnn_tanh
    rnn_tanh_cell scaled_dot_product_attention _scaled_dot_product_attention_math
    _scaled_dot_product_efficient_attention _scaled_dot_product_flash_attention
    _scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_fused_attention_overrideable
    _slow_conv2d_forward slow_conv3d slow_conv_dilated2d slow_conv_dilated3d slow_conv_transpose2d
    slow_conv_transpose3d thnn_conv2d upsample_bicubic2d upsample_bilinear2d upsample_linear1d
    upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_trilinear3d
    _upsample_bicubic2d_aa _upsample_bilinear2d_aa _upsample_nearest_exact1d
    _upsample_nearest_exact2d _upsample_nearest_exact3d _weight_norm _weight_norm_interface
    _pack_padded_sequence _pad_packed_sequence pad_sequence
    """)
    # losses
    | listed("""
    binary_cross_entropy binary_cross_entropy_with_logits cosine_embedding_loss cross_entropy_loss
    ctc_loss _ctc_loss hinge_embedding_loss huber_loss kl_div l1_loss margin_ranking_loss mse_loss
    multi_margin_loss multilabel_margin_loss multilabel_margin_loss_forward nll_loss nll_loss2d
    nll_loss2d_forward nll_loss_forward nll_loss_nd poisson_nll_loss smooth_l1_loss
    soft_margin_loss triplet_margin_loss
    """)
    # signals
    | listed("""
    bartlett_window blackman_window fft_fft fft_fft2 fft_fftfreq fft_fftn fft_fftshift fft_hfft
    fft_hfft2 fft_hfftn fft_ifft fft_ifft2 fft_ifftn fft_ifftshift fft_ihfft fft_ihfft2 fft_ihfftn
    fft_irfft fft_irfft2 fft_irfftn fft_rfft fft_rfft2 fft_rfftfreq fft_rfftn _fft_c2c _fft_c2r
    _fft_r2c hamming_window hann_window istft kaiser_window stft
    """)
    # shapes, places, types and copies
    | listed("""
    adjoint alias argwhere as_strided as_strided_copy as_strided_scatter atleast_1d atleast_2d
    atleast_3d broadcast_tensors broadcast_to cat chalf chunk clone column_stack complex concat
    concatenate _conj constant_pad_nd contiguous copy cpu detach detach_copy diag diag_embed diagflat
    diagonal diagonal_copy diagonal_scatter dsplit dstack expand expand_as expand_copy fill
    fill_diagonal flatten flip fliplr flipud gather hsplit hstack index index_add index_copy
    index_fill index_put _index_put_impl index_reduce index_select lift lift_fresh lift_fresh_copy
    mH mT masked_scatter masked_select matrix_H meshgrid moveaxis movedim narrow narrow_copy
    _neg_view nonzero nonzero_numpy nonzero_static numpy_T one_hot pad _pad_circular _pad_enum
    permute permute_copy put ravel reflection_pad1d reflection_pad2d reflection_pad3d repeat
    repeat_interleave replication_pad1d replication_pad2d replication_pad3d reshape reshape_as
    resolve_conj resolve_neg roll rot90 row_stack scatter scatter_add scatter_reduce select
    select_copy select_scatter slice slice_copy slice_scatter split split_copy split_with_sizes
    split_with_sizes_copy squeeze squeeze_copy stack _stack swapaxes swapdims t t_copy take
    take_along_dim tensor_split tile to to_dense _to_copy transpose transpose_copy tril triu type_as
    unbind unbind_copy unflatten unfold unfold_copy unsafe_chunk unsafe_split
    unsafe_split_with_sizes _unsafe_index _unsafe_index_put _unsafe_masked_index
    _unsafe_masked_index_put_accumulate _unsafe_view unsqueeze unsqueeze_copy view view_as
    view_as_complex view_as_complex_copy view_as_real view_as_real_copy view_copy vsplit vstack
    _cast_Byte _cast_Char _cast_Double _cast_Float _cast_Half _cast_Int _cast_Long _cast_Short zero
    """)
    # new tensors and random numbers
    | listed("""
    arange bernoulli cauchy empty empty_like empty_permuted empty_strided exponential eye full
    full_like geometric linspace log_normal logspace multinomial new_empty new_empty_strided new_full
    new_ones new_zeros normal normal_functional ones ones_like poisson rand rand_like randint
    randint_like randn randn_like random randperm range scalar_tensor tensor tril_indices
    triu_indices uniform zeros zeros_like
    """)
    # what a tensor is, and checks of it
    | listed("""
    _assert_async _assert_scalar _assert_tensor_metadata can_cast dim element_size
    _functional_assert_async _functional_assert_scalar _functional_sym_constrain_range
    _functional_sym_constrain_range_for_size get_device is_complex is_contiguous is_floating_point
    is_neg is_conj is_same_size is_signed item _local_scalar_dense numel promote_types result_type
    _shape_as_tensor size stride sym_constrain_range sym_constrain_range_for_size
    sym_is_contiguous sym_numel sym_size sym_storage_offset sym_stride
    """)
    # integers in place of numbers
    | listed("""
    dequantize fake_quantize_per_channel_affine fake_quantize_per_channel_affine_cachemask
    fake_quantize_per_tensor_affine fake_quantize_per_tensor_affine_cachemask int_repr q_per_channel_axis
    q_per_channel_scales q_per_channel_zero_points q_scale q_zero_point qscheme quantize_per_channel
    quantize_per_tensor quantize_per_tensor_dynamic
    """)
)

OTHERS = {
    "higher_order": listed("""
        cond while_loop map_impl scan associative_scan wrap_with_set_grad_enabled wrap_with_autocast
        flex_attention auto_functionalized
    """),
    "prims": listed("""
        broadcast_in_dim convert_element_type div fma iota prepare_gemm rev sum var view_of
        xor_sum device_put
    """),
    "quantized_decomposed": listed("""
        choose_qparams choose_qparams_symmetric choose_qparams_per_token
        choose_qparams_per_token_asymmetric convert_element_type dequantize_per_channel
        dequantize_per_channel_group dequantize_per_tensor dequantize_per_token fake_quant_per_channel
        quantize_per_channel quantize_per_channel_group quantize_per_tensor quantize_per_token
    """),
}
"""Other namespaces of operators (``torch.ops.NAMESPACE``)."""

ON_SIZES = {
    "_operator": listed("""
        abs add and_ eq floordiv ge getitem gt invert le lshift lt mod mul ne neg not_ or_ pos pow
        rshift sub truediv xor
    """),
    "math": listed("ceil floor isnan pow sqrt trunc"),
    "torch": listed("""
        sym_float sym_fresh_size sym_int sym_ite sym_max sym_min sym_not sym_sqrt sym_sum _sym_ceil
        _sym_floor _sym_sqrt
    """),
}
"""Python functions that a graph calls on sizes, by module."""

# What TorchScript has beside tensors: numbers, texts, lists, dictionaries.
SCRIPT_ATEN = ATEN | listed(
    """
    Bool Complex ComplexImplicit Delete Float FloatImplicit Int IntImplicit ScalarImplicit
    __and__ __contains__ __derive_index __getitem__ __is__ __isnot__ __lshift__ __not__ __or__
    __range_length __rshift__ __xor__ __iand__ __ior__ __ixor__ __iadd__ __isub__ __imul__ __idiv__
    _get_tracing_state _infer_size _list_to_tensor _set_item _size_if_not_equal _tensor_to_list
    _unwrap_optional append as_tensor bin capitalize ceildiv center chr clear count data degrees
    device dict divmod endswith expandtabs extend fabs factorial find floordiv format gamma gcd get
    get_autocast_dtype hash hex index insert isalnum isalpha isdecimal isdigit isidentifier islower
    isnumeric isprintable isspace istitle isupper is_autocast_cpu_enabled is_autocast_enabled
    is_grad_enabled is_leaf is_pinned is_scripting items join keys len list ljust lower lstrip
    mathremainder modf oct ord partition percentFormat pop popitem radians remove replace reverse
    rfind rindex rjust rpartition rsplit rstrip setdefault set_grad_enabled sorted splitlines
    startswith str strip swapcase title update upper values warn zfill indices crow_indices
    requires_grad grad output_nr coalesce names dtype layout
    """
)
SCRIPT_PRIM = listed(
    """
    data device dtype layout shape itemsize nbytes ndim name is_cuda is_cpu is_xla is_mkldnn is_mps
    is_meta is_quantized is_sparse is_sparse_csr is_nested is_xpu is_vulkan is_ipu is_maia is_mtia
    requires_grad grad index type max min abs tolist
    Print RaiseException NumToTensor ImplicitTensorToNum unchecked_cast unchecked_unwrap_optional
    unchecked_unwrap isinstance Uninitialized AutogradAllNonZero AutogradAllZero AutogradAnyNonZero
    AutogradZero AutogradAdd BroadcastSizes ReductionSizes ConstantChunk broadcast_sizes
    VarConcat VarStack TupleUnpack TupleIndex ListUnpack ListConstruct DictConstruct TupleConstruct
    StringIndex EnumName EnumValue rangelist
    """
)
SCRIPT_NAMESPACES = {"aten": SCRIPT_ATEN, "prim": SCRIPT_PRIM}
SCRIPT_OPEN_NAMESPACES = frozenset({"quantized"})
"""Namespaces of which every operator computes."""
SCRIPT_CLASSES = frozenset({"quantized", "rnn"})
"""Namespaces of the C++ classes (``torch.classes.NAMESPACE``) that hold packed weights."""


def without_place(name: str) -> str:
    """The operator of which ``name`` may be the variant in place (``relu_``)."""
    in_place = name.endswith("_") and not name.endswith("__")
    return name[:-1] if in_place else name


def may_be_called(target: str) -> bool:
    """Whether a node of an exported graph may call ``target`` (``torch.ops.aten.add.Tensor``)."""
    match target.split("."):
        case ["torch", "ops", "aten", name, _]:
            return without_place(name) in ATEN
        case ["torch", "ops", namespace, name, *overload] if len(overload) <= 1:
            return name in OTHERS.get(namespace, ())
        case [module, name]:
            return name in ON_SIZES.get(module, ())
        case _:
            return False
