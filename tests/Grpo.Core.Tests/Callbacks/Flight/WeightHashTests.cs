using Grpo.Modeling;
using Grpo.Tensors;
using Grpo.Testing;

namespace Grpo.Core.Tests.Callbacks;

public sealed class WeightHashTests
{
    [Fact]
    public void Compute_is_sha256_of_name_type_shape_and_values()
    {
        // printf of: length and text of "table", number type 6, two dimensions of 1, one float 1.5; each whole number in eight bytes.
        using var policy = new BigramPolicy(vocabularySize: 1);
        using (var scope = TensorScope.BeginNoGrad())
        {
            policy.Table.fill_(1.5);
        }

        byte[] expected = [5, 0, 0, 0, 0, 0, 0, 0, .. "table"u8, 6, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0xC0, 0x3F];
        Assert.Equal(Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(expected)), WeightHash.Compute(policy));
    }

    [Fact]
    public void Compute_reads_every_value_of_parameters_larger_than_a_piece()
    {
        using var policy = new BigramPolicy(vocabularySize: 2100, seed: 3); // 17.6 MB, more than one piece of 16 MB
        string before = WeightHash.Compute(policy);
        Assert.Equal(before, WeightHash.Compute(policy));
        using (var scope = TensorScope.BeginNoGrad())
        {
            policy.Table[2099, 2099] += 1;
        }

        Assert.NotEqual(before, WeightHash.Compute(policy));
    }
}
